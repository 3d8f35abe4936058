-- Read a part of a stream as it is stored.
-- ARGV: offset to start after, how many publications at most, bytes of them after which no more is added.
-- Returns nothing without a position; else offset, epoch, version, version epoch, 1 if this is the last part, and a list
-- of offset, time, publication, offset and so on.
local position = redis.call('HMGET', KEYS[2], 'e', 'o', 'v', 've')
if not position[1] then
    return {}
end
local most = tonumber(ARGV[2])
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1] .. '-0', '+', 'COUNT', most)
local complete = #entries < most
local found, bytes = {}, 0
for _, entry in ipairs(entries) do
    if bytes >= tonumber(ARGV[3]) then
        complete = false
        break
    end
    table.insert(found, tonumber(string.match(entry[1], '^%d+')))
    table.insert(found, tonumber(entry[2][2]))
    table.insert(found, entry[2][4])
    bytes = bytes + #entry[2][4]
end
return {
    tonumber(position[2]),
    epoch_of(position[1]),
    position[3] or '',
    position[4] or '',
    complete and 1 or 0,
    found,
}
