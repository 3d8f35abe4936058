-- Add or renew clients. ARGV: ttl (milliseconds), then for each of them client, user, info, and 1 if its leave is to be
-- published, else 0.
-- Returns some of those that have expired and whose leave was not published (client, info, client, info and so on), and
-- those of the renewed whose leave was.
local now, ttl = now_milliseconds(), tonumber(ARGV[1])
drop_expired(now, 1024)
local somebody_announced = redis.call('EXISTS', ANNOUNCED) == 1
local somebody_departed = redis.call('EXISTS', DEPARTED) == 1
local returned = {}
for index = 2, #ARGV, 4 do
    local client, user, info, announced = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
    local known = redis.call('HGET', CLIENTS, client)
    if known ~= info then
        if known then
            remove(client)
        end
        redis.call('HSET', CLIENTS, client, info)
        redis.call('HINCRBY', USERS, user, 1)
    end
    redis.call('ZADD', EXPIRY, now + ttl, client)
    if announced == '1' then
        local before = redis.call('HGET', ANNOUNCED, client)
        if before ~= '1' then
            redis.call('HSET', ANNOUNCED, client, '1')
        end
        if before == '0' then
            table.insert(returned, client)
        end
    elseif somebody_announced then
        redis.call('HDEL', ANNOUNCED, client)
    end
    if somebody_departed then
        redis.call('HDEL', DEPARTED, client)
    end
end
-- They outlive their last member for as long as it was there unseen, so that somebody can find that it has expired; all
-- of them, so that it is known whether its leave is to be published.
local lasts = math.max(2 * ttl, redis.call('PTTL', EXPIRY))
for _, key in ipairs({ EXPIRY, CLIENTS, USERS, ANNOUNCED }) do
    if redis.call('PTTL', key) < lasts then
        redis.call('PEXPIRE', key, lasts)
    end
end
local departed = {}
if redis.call('EXISTS', DEPARTED) == 1 then
    departed = redis.call('HRANDFIELD', DEPARTED, 128, 'WITHVALUES')
end
return { departed, returned }
