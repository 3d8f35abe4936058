-- Store a state. ARGV: id, owner, state, how long it is kept (milliseconds), how many are kept, '1' for a new owner.
-- Returns one of Kept. The first write takes memory, so that a full Redis refuses it.
local owner = read(ARGV[1])
if owner and owner ~= ARGV[2] and ARGV[6] ~= '1' then
    return 2
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. '\n' .. ARGV[3])
redis.call('ZADD', KEYS[1], string.format('%d', now + ARGV[4]), ARGV[1])
tidy()
local surplus = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[5])
if surplus > 0 then
    drop(redis.call('ZRANGE', KEYS[1], 0, math.min(surplus, 100) - 1))
end
return 0
