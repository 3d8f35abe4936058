-- Add or renew a client. ARGV: client, user, info, ttl (milliseconds).
local now = now_milliseconds()
drop_expired(now, 1024)
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known ~= ARGV[3] then
    if known then
        remove(ARGV[1])
    end
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
    redis.call('HINCRBY', KEYS[3], ARGV[2], 1)
end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1])
for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < tonumber(ARGV[4]) then
        redis.call('PEXPIRE', key, ARGV[4])
    end
end
return 1
