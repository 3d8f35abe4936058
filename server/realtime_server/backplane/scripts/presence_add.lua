-- Add or renew clients. ARGV: ttl (milliseconds), then for each of them client, user, info.
local now, ttl = now_milliseconds(), tonumber(ARGV[1])
drop_expired(now, 1024)
for index = 2, #ARGV, 3 do
    local client, user, info = ARGV[index], ARGV[index + 1], ARGV[index + 2]
    local known = redis.call('HGET', KEYS[2], client)
    if known ~= info then
        if known then
            remove(client)
        end
        redis.call('HSET', KEYS[2], client, info)
        redis.call('HINCRBY', KEYS[3], user, 1)
    end
    redis.call('ZADD', KEYS[1], now + ttl, client)
end
for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < ttl then
        redis.call('PEXPIRE', key, ttl)
    end
end
return 1
