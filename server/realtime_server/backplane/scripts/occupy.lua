-- A worker has subscribers in a channel. KEYS[1]: hash channel -> number of its workers, KEYS[2]: set of the worker's
-- channels, KEYS[3]: set of the workers that have channels. ARGV: worker, channel, how long all this is kept when no
-- worker renews it (ms).
-- Returns 1 if no worker had subscribers there.
if redis.call('SADD', KEYS[2], ARGV[2]) == 0 then
    return 0
end
redis.call('SADD', KEYS[3], ARGV[1])
local first = redis.call('HINCRBY', KEYS[1], ARGV[2], 1) == 1
for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, ARGV[3])
end
return first and 1 or 0
