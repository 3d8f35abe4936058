-- A worker lives, and sends a message to itself. KEYS[1]: sorted set worker -> when it was last seen (ms).
-- ARGV: worker, the command that publishes, pub/sub channel, message, how long a silent worker is remembered (ms).
-- The first write takes no memory, so that a full Redis lets the others pass.
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZADD', KEYS[1], now_milliseconds(), ARGV[1])
redis.call(ARGV[2], ARGV[3], ARGV[4])
return 1
