-- Append a publication and deliver it. KEYS[4]: how many publications this worker has made.
-- ARGV: pub/sub channel, publication, size, ttl, how long the position is kept (both milliseconds), candidate epoch.
-- Returns offset, epoch, and the new KEYS[4].
local epoch = ensure_position(ARGV[6])
local offset = redis.call('HINCRBY', KEYS[2], 'o', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[5])
local now = now_milliseconds()
local id = string.format('%d-0', offset)
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[3], id, 't', string.format('%d', now), 'p', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if offset % 16 == 0 then
    drop_expired(now - ARGV[4])
end
local made = redis.call('INCR', KEYS[4])
redis.call('PUBLISH', ARGV[1], string.format('%d:%s\n', offset, epoch) .. ARGV[2])
return { offset, epoch, made }
