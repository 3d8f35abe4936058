-- Publish the leave of those that have expired, and have neither come back nor been published. ARGV: the command that
-- publishes, pub/sub channel, then for each of them client, message.
local REMEMBERED = 10000 -- of whom it is known that the leave was published
for index = 3, #ARGV, 2 do
    if redis.call('HDEL', DEPARTED, ARGV[index]) == 1 then
        redis.call('HSET', ANNOUNCED, ARGV[index], '0')
        redis.call(ARGV[1], ARGV[2], ARGV[index + 1])
    end
end
if redis.call('PTTL', ANNOUNCED) == -1 then
    redis.call('PEXPIRE', ANNOUNCED, FOUND_WITHIN)
end
local waiting = redis.call('ZCARD', EXPIRY) + redis.call('HLEN', DEPARTED)
if redis.call('HLEN', ANNOUNCED) > waiting + REMEMBERED then
    local all = redis.call('HGETALL', ANNOUNCED)
    for index = 1, #all, 2 do
        if all[index + 1] == '0' then
            redis.call('HDEL', ANNOUNCED, all[index])
        end
    end
end
return 1
