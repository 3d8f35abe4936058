-- Keep states. ARGV: how long (milliseconds), then for each its id and owner. Returns one of Kept for each.
local kept = {}
for index = 2, #ARGV, 2 do
    local owner = read(ARGV[index])
    if owner == ARGV[index + 1] then
        redis.call('ZADD', KEYS[1], string.format('%d', now + ARGV[1]), ARGV[index])
        table.insert(kept, 0)
    else
        table.insert(kept, owner and 2 or 1)
    end
end
tidy()
return kept
