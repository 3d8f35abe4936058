-- A worker ends: nobody needs to wait for it. KEYS[1]: hash worker -> how many publications it has made, KEYS[2]: sorted set
-- worker -> when it was last seen, KEYS[3]: set of the workers that are waited for. ARGV: worker.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
return 1
