-- Which workers that have channels are gone. KEYS[1]: hash channel -> number of its workers, KEYS[2]: set of the
-- worker's channels, KEYS[3]: set of the workers that have channels, KEYS[4]: sorted set worker -> when it was last seen
-- (ms). ARGV: worker, after how long a silent worker is gone, how long all this is kept when no worker renews it (both
-- ms).
-- Returns 1 if the worker itself has channels, and the list of those that are gone.
for index = 1, 3 do
    redis.call('PEXPIRE', KEYS[index], ARGV[3])
end
local gone, since = {}, now_milliseconds() - ARGV[2]
for _, worker in ipairs(redis.call('SMEMBERS', KEYS[3])) do
    local seen = redis.call('ZSCORE', KEYS[4], worker)
    if worker ~= ARGV[1] and (not seen or tonumber(seen) < since) then
        table.insert(gone, worker)
    end
end
return { redis.call('SISMEMBER', KEYS[3], ARGV[1]), gone }
