-- A worker says hello after it has connected, before it does anything else: find out whether publications were lost.
-- KEYS[1]: how many publications this worker has made, KEYS[2]: generation.
-- ARGV: how many of them were confirmed to it, candidate generation, pub/sub channel for gaps, ttl of KEYS[1] (ms).
-- Returns what KEYS[1] says, and 1 when the generation was changed.
--
-- Redis keeps the order of writes when it loses the last ones (a crash before the disk had them, a failover to a replica
-- that lagged). So if all the workers' counts are still what was confirmed to them, nothing confirmed was lost. If one
-- is less, offsets will be given a second time: no position from before may be trusted, and the generation changes,
-- once for each run of a Redis process. Everybody is told.
-- This write takes no memory, so that a full Redis lets the others pass: they take next to nothing, and have to be.
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local made = tonumber(redis.call('GET', KEYS[1]) or 0)
local generation = redis.call('HMGET', KEYS[2], 'g', 'run', 'changed')
if not generation[1] or generation[2] ~= run then
    generation[3] = ''
    redis.call('HSET', KEYS[2], 'run', run, 'changed', '')
end
local changed = 0
if not generation[1] or (made < tonumber(ARGV[1]) and (generation[3] == '' or generation[3] ~= run)) then
    changed = 1
    redis.call('HSET', KEYS[2], 'g', ARGV[2], 'changed', run)
    redis.call('PUBLISH', ARGV[3], ARGV[2])
end
redis.call('SET', KEYS[1], made, 'PX', ARGV[4])
return { made, changed }
