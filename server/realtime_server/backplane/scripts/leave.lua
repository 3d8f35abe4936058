-- A worker ends: nobody needs to wait for it. KEYS[1]: sorted set worker -> when it was last seen, KEYS[2]: set of the
-- workers that are waited for. ARGV: worker.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[2], ARGV[1])
return 1
