-- Remove a client. ARGV: client. Returns 0 if its leave was published already.
remove(ARGV[1])
local published = redis.call('HGET', ANNOUNCED, ARGV[1]) == '0'
redis.call('HDEL', ANNOUNCED, ARGV[1])
redis.call('HDEL', DEPARTED, ARGV[1])
return published and 0 or 1
