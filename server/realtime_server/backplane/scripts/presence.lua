-- What the scripts of presence share. KEYS[1]: sorted set client -> when it expires (ms), KEYS[2]: hash client -> info,
-- KEYS[3]: hash user -> number of the user's clients. An info begins with its user as a netstring (LENGTH:USER).

-- A Redis that evicts keys may have taken one of the three. What is left is worth nothing: everybody who is there comes
-- back with the next renewal. Nor would its counts ever be right again.
if redis.call('EXISTS', unpack(KEYS)) % #KEYS ~= 0 then
    redis.call('DEL', unpack(KEYS))
end

local function remove(client)
    local info = redis.call('HGET', KEYS[2], client)
    if info then
        local colon = string.find(info, ':', 1, true)
        local user = string.sub(info, colon + 1, colon + tonumber(string.sub(info, 1, colon - 1)))
        if redis.call('HINCRBY', KEYS[3], user, -1) <= 0 then
            redis.call('HDEL', KEYS[3], user)
        end
        redis.call('HDEL', KEYS[2], client)
    end
    redis.call('ZREM', KEYS[1], client)
end

-- Drops no more than about `most`: when a server with very many members has died, all of them expire at once, and Redis
-- would do nothing else for a second.
local function drop_expired(now, most)
    repeat
        local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 128)
        for _, client in ipairs(expired) do
            remove(client)
        end
        most = most - #expired
    until #expired < 128 or most <= 0
end
