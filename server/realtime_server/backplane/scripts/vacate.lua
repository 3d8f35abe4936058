-- A worker has no subscribers in a channel any more. KEYS: as in occupy.lua. ARGV: worker,
-- channel.
-- Returns 1 if no worker has subscribers there now.
if redis.call('SREM', KEYS[2], ARGV[2]) == 0 then
    return 0
end
if redis.call('HINCRBY', KEYS[1], ARGV[2], -1) > 0 then
    return 0
end
redis.call('HDEL', KEYS[1], ARGV[2])
return 1
