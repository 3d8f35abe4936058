-- Append a publication and deliver it, unless it came before.
-- KEYS[4]: hash worker -> how many publications it has made, '' -> how many publications all have. KEYS[5]: what was returned for this idempotency key; absent
-- when the publication has none.
-- ARGV: the command that publishes, pub/sub channel, publication, size, ttl, how long the position is kept (both
-- milliseconds), candidate epoch, worker, how long the idempotency key is kept (milliseconds), version ('' for none,
-- else 20 digits, so that their order is that of the numbers), version epoch.
-- Returns offset, epoch, and how many publications the worker has made.
if settling() then
    return SETTLING
end
local once = KEYS[5] and redis.call('GET', KEYS[5])
if once then
    local offset, epoch = string.match(once, '^(%d+):(.*)$')
    return { tonumber(offset), epoch, tonumber(redis.call('HGET', KEYS[4], ARGV[8]) or 0) }
end
local epoch = ensure_position(ARGV[7])
local offset
local known = ARGV[10] ~= '' and redis.call('HMGET', KEYS[2], 'v', 've', 'o')
if known and known[1] and known[2] == ARGV[11] and known[1] >= ARGV[10] then
    offset = tonumber(known[3])
else
    offset = redis.call('HINCRBY', KEYS[2], 'o', 1)
    if known then
        redis.call('HSET', KEYS[2], 'v', ARGV[10], 've', ARGV[11])
    end
    local now = now_milliseconds()
    local id = string.format('%d-0', offset)
    redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[4], id, 't', string.format('%d', now), 'p', ARGV[3])
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    if offset % 16 == 0 then
        drop_expired(now - ARGV[5])
    end
    local all = redis.call('HINCRBY', KEYS[4], '', 1)
    redis.call(ARGV[1], ARGV[2], string.format('%d:%s:%d\n', offset, epoch, all) .. ARGV[3])
end
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if KEYS[5] then
    redis.call('SET', KEYS[5], string.format('%d:%s', offset, epoch), 'PX', ARGV[9])
end
return { offset, epoch, redis.call('HINCRBY', KEYS[4], ARGV[8], 1) }
