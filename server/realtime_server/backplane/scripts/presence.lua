-- What the scripts of presence share. KEYS[1]: sorted set client -> when it expires (ms), KEYS[2]: hash client -> info,
-- KEYS[3]: hash user -> number of the user's clients, KEYS[4]: hash of the clients whose leave is to be published: 1
-- while it is not, 0 when it was, KEYS[5]: hash client -> info of those that have expired and whose leave was not
-- published. An info begins with its user as a netstring (LENGTH:USER).
local EXPIRY, CLIENTS, USERS, ANNOUNCED, DEPARTED = unpack(KEYS)

-- For so long somebody has to find who has expired (milliseconds): later its leave would surprise everybody.
local FOUND_WITHIN = 300000

-- A Redis that evicts keys may have taken one of the first three. What is left is worth nothing: everybody who is there
-- comes back with the next renewal. Nor would its counts ever be right again.
if redis.call('EXISTS', EXPIRY, CLIENTS, USERS) % 3 ~= 0 then
    redis.call('DEL', EXPIRY, CLIENTS, USERS)
end

local function remove(client)
    local info = redis.call('HGET', CLIENTS, client)
    if info then
        local colon = string.find(info, ':', 1, true)
        local user = string.sub(info, colon + 1, colon + tonumber(string.sub(info, 1, colon - 1)))
        if redis.call('HINCRBY', USERS, user, -1) <= 0 then
            redis.call('HDEL', USERS, user)
        end
        redis.call('HDEL', CLIENTS, client)
    end
    redis.call('ZREM', EXPIRY, client)
    return info
end

-- Drops no more than about `most`: when a server with very many members has died, all of them expire at once, and Redis
-- would do nothing else for a second.
local function drop_expired(now, most)
    repeat
        local expired = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, 128)
        for _, client in ipairs(expired) do
            local info = remove(client)
            if info and redis.call('HGET', ANNOUNCED, client) == '1' then
                redis.call('HSET', DEPARTED, client, info)
                redis.call('PEXPIRE', DEPARTED, FOUND_WITHIN)
            end
        end
        most = most - #expired
    until #expired < 128 or most <= 0
end
