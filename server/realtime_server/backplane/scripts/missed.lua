-- Read what a client has missed in a channel of an ordered namespace.
-- ARGV: offset up to which the channel does not concern it, epoch of that offset, the greatest number that it has, epoch
-- of the numbers, ttl, how long the position is kept (both milliseconds), candidate epoch.
-- Returns nothing when some of it may be gone; else offset, epoch, a list of offset, publication, number and so on from
-- the newest to the oldest, and the newest number.
local epoch = ensure_position(ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
local from, since = tonumber(ARGV[1]), tonumber(ARGV[3])
local position = redis.call('HMGET', KEYS[2], 'o', 'n')
local newest, last = tonumber(position[1]), position[2] or '0:0'
local numbers = tonumber(redis.call('HGET', KEYS[3], 'n') or 0)
if epoch ~= ARGV[2] or generation[1] ~= ARGV[4] or since > numbers or newest < from then
    return {}
end

local last_offset, last_number = string.match(last, '^(%d+):(%d+)$')
if newest == from or (tonumber(last_offset) == newest and tonumber(last_number) <= since) then
    return { newest, epoch, {}, numbers }
end

drop_expired(now_milliseconds() - ARGV[5])
local found, has_earlier = {}, false
local to, bound = '+', 0
repeat
    local entries = redis.call('XREVRANGE', KEYS[1], to, string.format('(%d-0', from), 'COUNT', 16)
    for _, entry in ipairs(entries) do
        local number = tonumber(entry[2][6])
        if not number then
            return {}
        elseif number <= since then
            has_earlier = true
            break
        end
        table.insert(found, tonumber(string.match(entry[1], '^%d+')))
        table.insert(found, entry[2][4])
        table.insert(found, number)
        bound, to = tonumber(entry[2][8]), '(' .. entry[1]
    end
until has_earlier or #entries < 16

if has_earlier or (#found > 0 and (found[#found - 2] == from + 1 or bound <= since)) then
    return { newest, epoch, found, numbers }
end
return {}
