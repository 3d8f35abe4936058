-- A worker lives, and sends a message to itself. KEYS[1]: sorted set worker -> when it was last seen (ms), KEYS[2]:
-- generation.
-- ARGV: worker, the command that publishes, pub/sub channel, message, how long a silent worker is remembered, how long
-- the generation is kept that nobody uses (both ms).
-- Returns 1 if there is a generation, 0 if it is gone and everybody must greet, as where keys are evicted.
-- The first write takes no memory, so that a full Redis lets the others pass.
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZADD', KEYS[1], now_milliseconds(), ARGV[1])
if redis.call('PTTL', KEYS[2]) < ARGV[6] / 2 then
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
end
redis.call(ARGV[2], ARGV[3], ARGV[4])
return redis.call('HEXISTS', KEYS[2], 'g')
