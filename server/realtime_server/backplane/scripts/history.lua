-- Read a part of a stream and its position.
-- ARGV: limit (0: none, negative: all), offset to start from or '', '1' to go backwards, ttl, how long the position is
-- kept (both milliseconds), candidate epoch.
-- Returns offset, epoch, and a list of offset, publication, offset, publication and so on.
local epoch = ensure_position(ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
local newest = tonumber(redis.call('HGET', KEYS[2], 'o'))
local limit = tonumber(ARGV[1])
if limit == 0 then
    return { newest, epoch, {} }
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
end
return { newest, epoch, publications }
