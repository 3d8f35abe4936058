-- Append a publication and deliver it, unless it came before.
-- KEYS[4]: what was returned for this idempotency key; absent when the publication has none.
-- ARGV: the command that publishes, pub/sub channel, publication, size, ttl, how long the position is kept (both
-- milliseconds), candidate epoch, how long the idempotency key is kept (milliseconds), version ('' for none, else 20
-- digits, so that their order is that of the numbers), version epoch, and in an ordered namespace anything.
-- Returns offset, epoch, and the number of this publication in the partition, 0 if nothing was published.

-- An entry has its number, and a bound of the numbers of all publications before it in the channel: when earlier ones
-- were dropped, it shows that a client had them.
local function add_numbered(id, now, offset, number)
    local last = redis.call('HGET', KEYS[2], 'n')
    local before, known = string.match(last or '0:0', '^(%d+):(%d+)$')
    if tonumber(before) ~= offset - 1 then
        known = string.format('%d', number - 1)
    end
    redis.call('HSET', KEYS[2], 'n', string.format('%d:%d', offset, number))
    local time, text = string.format('%d', now), string.format('%d', number)
    redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[4], id, 't', time, 'p', ARGV[3], 'n', text, 'b', known)
end

local once = KEYS[4] and redis.call('GET', KEYS[4])
if once then
    local offset, epoch = string.match(once, '^(%d+):(.*)$')
    return { tonumber(offset), epoch, 0 }
end
local epoch = ensure_position(ARGV[7])
local offset
local number = 0
local known = ARGV[9] ~= '' and redis.call('HMGET', KEYS[2], 'v', 've', 'o')
if known and known[1] and known[2] == ARGV[10] and known[1] >= ARGV[9] then
    offset = tonumber(known[3])
else
    offset = redis.call('HINCRBY', KEYS[2], 'o', 1)
    number = redis.call('HINCRBY', KEYS[3], 'n', 1)
    if known then
        redis.call('HSET', KEYS[2], 'v', ARGV[9], 've', ARGV[10])
    end
    local now = now_milliseconds()
    local id = string.format('%d-0', offset)
    local head = string.format('%d:%s:%d', offset, epoch, number)
    if ARGV[11] then
        add_numbered(id, now, offset, number)
        head = head .. ':' .. (generation[1] or '')
    else
        redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[4], id, 't', string.format('%d', now), 'p', ARGV[3])
    end
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    if offset % 16 == 0 then
        drop_expired(now - ARGV[5])
    end
    redis.call(ARGV[1], ARGV[2], head .. '\n' .. ARGV[3])
end
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if KEYS[4] then
    redis.call('SET', KEYS[4], string.format('%d:%s', offset, epoch), 'PX', ARGV[8])
end
return { offset, epoch, number }
