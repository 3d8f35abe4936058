-- Which workers that have channels are gone. KEYS[1]: set of the workers that have channels, KEYS[2]: sorted set worker
-- -> when it was last seen (ms). ARGV: worker, after how long a silent worker is gone (ms).
-- Returns 1 if the worker itself has channels, and the list of those that are gone.
local gone, since = {}, now_milliseconds() - ARGV[2]
for _, worker in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local seen = redis.call('ZSCORE', KEYS[2], worker)
    if worker ~= ARGV[1] and (not seen or tonumber(seen) < since) then
        table.insert(gone, worker)
    end
end
return { redis.call('SISMEMBER', KEYS[1], ARGV[1]), gone }
