-- Keep revocations. ARGV: how many there may be, candidate epoch, then for each of them subject, issued before, when it
-- expires (both seconds). Returns 0 if there would be too many; then none is kept.
drop_expired()
local new = 0
for index = 3, #ARGV, 3 do
    if not redis.call('ZSCORE', EXPIRY, ARGV[index]) then
        new = new + 1
    end
end
if redis.call('ZCARD', EXPIRY) + new > tonumber(ARGV[1]) then
    return 0
end
redis.call('HSETNX', META, 'e', ARGV[2])
for index = 3, #ARGV, 3 do
    local subject, issued_before, expires = ARGV[index], ARGV[index + 1], ARGV[index + 2]
    local known = redis.call('HGET', VALUES, subject)
    local changed = not known
    if not known or tonumber(issued_before) > tonumber(known) then
        redis.call('HSET', VALUES, subject, issued_before)
        changed = true
    end
    local until_now = redis.call('ZSCORE', EXPIRY, subject)
    if not until_now or tonumber(expires) > tonumber(until_now) then
        redis.call('ZADD', EXPIRY, expires, subject)
        changed = true
    end
    if changed then
        redis.call('ZADD', ORDER, redis.call('HINCRBY', META, 'n', 1), subject)
    end
end
local last = redis.call('ZREVRANGE', EXPIRY, 0, 0, 'WITHSCORES')[2]
if last then
    for _, key in ipairs(KEYS) do
        redis.call('PEXPIREAT', key, string.format('%.0f', tonumber(last) * 1000 + 1000))
    end
end
return 1
