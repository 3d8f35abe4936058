-- Read a part of a stream and its position.
-- ARGV: limit (0: none, negative: all), offset to start from or '', '1' to go backwards, ttl, how long the position is
-- kept (both milliseconds), candidate epoch, and in an ordered namespace anything.
-- Returns offset, epoch, and a list of offset, publication, offset, publication and so on; in an ordered namespace each
-- publication is followed by its number (0 if it has none), and the list by the newest number and its epoch.
local epoch = ensure_position(ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
local newest = tonumber(redis.call('HGET', KEYS[2], 'o'))
local limit = tonumber(ARGV[1])
local ordered = ARGV[7] and true or false

local function reply(publications)
    if not ordered then
        return { newest, epoch, publications }
    end
    return { newest, epoch, publications, tonumber(redis.call('HGET', KEYS[3], 'n') or 0), generation[1] or '' }
end

if limit == 0 then
    return reply({})
end
drop_expired(now_milliseconds() - ARGV[4])
local command = { 'XRANGE', KEYS[1], '-', '+' }
if ARGV[3] == '1' then
    command = { 'XREVRANGE', KEYS[1], '+', '-' }
end
if ARGV[2] ~= '' then
    command[3] = '(' .. ARGV[2] .. '-0'
end
if limit > 0 then
    command[5] = 'COUNT'
    command[6] = ARGV[1]
end
local publications = {}
for _, entry in ipairs(redis.call(unpack(command))) do
    table.insert(publications, tonumber(string.match(entry[1], '^%d+')))
    table.insert(publications, entry[2][4])
    if ordered then
        table.insert(publications, tonumber(entry[2][6] or 0))
    end
end
return reply(publications)
