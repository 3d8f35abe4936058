-- A worker lives, and sends a message to itself. KEYS[1]: hash worker -> how many writes it has made, KEYS[2]: sorted set
-- worker -> when it was last seen (ms).
-- ARGV: worker, the command that publishes, pub/sub channel, message, how long a silent worker is remembered (ms).
-- Returns how many writes the worker has made: this is one, so that a loss of older writes shows in it.
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('ZADD', KEYS[2], now_milliseconds(), ARGV[1])
redis.call(ARGV[2], ARGV[3], ARGV[4])
return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
