-- Make what was collected the stream of the channel. KEYS[4]: what was collected.
-- ARGV: offset, epoch, version ('' for none), version epoch, ttl, how long the position is kept (both milliseconds),
-- size, '1' to replace another stream. Returns one of Imported.
local position = redis.call('HMGET', KEYS[2], 'e', 'o')
local collected = redis.call('XLEN', KEYS[4])
if collected > 0 then
    local function offset_of(entries)
        return tonumber(string.match(entries[1][1], '^%d+'))
    end
    local first = offset_of(redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1))
    local last = offset_of(redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1))
    if last ~= tonumber(ARGV[1]) or last - first + 1 ~= collected then
        redis.call('DEL', KEYS[4])
        return 'incomplete'
    end
end
if position[1] and tonumber(position[2]) > 0 then
    if epoch_of(position[1]) == ARGV[2] then
        redis.call('DEL', KEYS[4])
        return 'present'
    elseif ARGV[8] ~= '1' then
        redis.call('DEL', KEYS[4])
        return 'occupied'
    end
end
redis.call('HSET', KEYS[2], 'e', imported_epoch(ARGV[2]), 'o', ARGV[1])
redis.call('HDEL', KEYS[2], 'v', 've', 'n')
if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[2], 'v', ARGV[3], 've', ARGV[4])
end
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if collected > 0 then
    redis.call('RENAME', KEYS[4], KEYS[1])
    redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[7])
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    drop_expired(now_milliseconds() - ARGV[5])
else
    redis.call('DEL', KEYS[1])
end
return 'restored'
