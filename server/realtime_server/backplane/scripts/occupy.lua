-- A worker has subscribers in a channel. KEYS[1]: hash channel -> number of its workers, KEYS[2]: set of the worker's
-- channels, KEYS[3]: set of the workers that have channels. ARGV: worker, channel.
-- Returns 1 if no worker had subscribers there.
if redis.call('SADD', KEYS[2], ARGV[2]) == 0 then
    return 0
end
redis.call('SADD', KEYS[3], ARGV[1])
return redis.call('HINCRBY', KEYS[1], ARGV[2], 1) == 1 and 1 or 0
