-- Consumers of a queue that are gone are forgotten; what they took and did not finish is somebody else's before.
-- KEYS[1]: stream. ARGV: consumer group, for how long they must have been silent (ms). Returns how many.
local gone = 0
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = {}
    for index = 1, #fields, 2 do
        consumer[fields[index]] = fields[index + 1]
    end
    if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
        gone = gone + 1
    end
end
return gone
