-- Remove some channels of a worker that is gone. KEYS[1]: hash channel -> number of its workers, KEYS[2]: set of the
-- worker's channels, KEYS[3]: set of the workers that have channels, KEYS[4]: sorted set worker -> when it was last seen
-- (ms). ARGV: worker, after how long a silent worker is gone (ms), how many channels at most.
-- Returns 1 if some may be left, and the channels that no worker has now.
local vacated = {}
local seen = redis.call('ZSCORE', KEYS[4], ARGV[1])
if seen and tonumber(seen) >= now_milliseconds() - ARGV[2] then
    return { 0, vacated } -- it has come back
end
for _, channel in ipairs(redis.call('SPOP', KEYS[2], ARGV[3])) do
    if redis.call('HINCRBY', KEYS[1], channel, -1) <= 0 then
        redis.call('HDEL', KEYS[1], channel)
        table.insert(vacated, channel)
    end
end
local left = redis.call('EXISTS', KEYS[2])
if left == 0 then
    redis.call('SREM', KEYS[3], ARGV[1])
end
return { left, vacated }
