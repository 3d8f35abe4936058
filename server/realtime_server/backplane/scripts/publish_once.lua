-- Deliver a publication that has no history, unless it came before. KEYS[1]: is there if it did.
-- ARGV: the command that publishes, pub/sub channel, message, how long the idempotency key is kept (milliseconds).
if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[4]) then
    redis.call(ARGV[1], ARGV[2], ARGV[3])
end
return 1
