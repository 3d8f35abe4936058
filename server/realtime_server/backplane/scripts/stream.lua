-- What the scripts of streams share. KEYS[1]: stream, KEYS[2]: position, KEYS[3]: generation.
--
-- A stream's entries have the ID OFFSET-0, a time in milliseconds and the publication; in an ordered namespace also n,
-- its number in the partition, and b, a bound of the numbers before it in the channel. The position is a hash: o, the
-- offset of the newest publication, e, this channel's part of the epoch, v and ve, version and version epoch of the
-- newest publication that had one, n, offset and number of the newest one that has a number in the stream. The
-- generation is a hash: g, the other part of the epoch, common to all channels of the partition, so that changing it
-- changes every epoch at once, and the epoch of the numbers; settle, n and more, see greet.lua.
-- The e of an imported stream is =GENERATION=EPOCH: its whole epoch, for as long as that generation lasts.

local generation = redis.call('HMGET', KEYS[3], 'g', 'settle')
if generation[2] and generation[2] ~= '' then
    return { err = 'SETTLING not all workers have said what they know about lost publications' }
end

local function imported_epoch(epoch)
    return '=' .. (generation[1] or '') .. '=' .. epoch
end

local function epoch_of(part)
    if string.byte(part) ~= 61 then
        return part .. (generation[1] or '')
    end
    local imported_in, epoch = string.match(part, '^=([^=]*)=(.*)$')
    return imported_in == (generation[1] or '') and epoch or epoch .. (generation[1] or '')
end

-- The epoch; a position is made if there is none. A full Redis refuses a script at its first write, and only if that
-- takes memory: so this comes before all other writes.
local function ensure_position(candidate)
    local epoch = redis.call('HGET', KEYS[2], 'e')
    if not epoch then
        epoch = candidate
        redis.call('HSET', KEYS[2], 'e', epoch, 'o', 0)
        redis.call('DEL', KEYS[1])
    end
    return epoch_of(epoch)
end

local function drop_expired(oldest_milliseconds)
    repeat
        local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 32)
        local expired = 0
        while entries[expired + 1] and tonumber(entries[expired + 1][2][2]) <= oldest_milliseconds do
            expired = expired + 1
        end
        if expired > 0 then
            local offset = string.match(entries[expired][1], '^%d+')
            redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d', offset + 1))
        end
    until expired < 32
end
