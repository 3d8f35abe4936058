-- A worker says hello after it has connected, before it does anything else: find out whether publications were lost.
-- KEYS[1]: generation. KEYS[2]: hash worker -> how many publications it has made, '' -> how many all have.
-- KEYS[3]: sorted set worker -> when it was last seen (ms). KEYS[4]: set of the workers that are waited for.
-- ARGV: worker, how many of its publications were confirmed to it, of how many of all publications it knows, candidate
-- generation, the command that publishes, pub/sub channel for gaps, how long a partition settles, after how long a
-- silent worker is gone, how long it is remembered (the last three in ms).
-- Returns the worker's count and that of all publications, and 1 while the partition settles.
--
-- Redis keeps the order of writes when it loses the last ones (a crash before the disk had them, a failover to a replica
-- that lagged). So if all the workers' counts are still what was confirmed to them, and there are as many publications
-- as any worker has seen arrive, nothing was lost that anybody could know of. If one is less, offsets will be given a
-- second time: no position from before may be trusted, and the generation changes, once for each run of a primary.
-- Everybody is told.
--
-- A run of a primary is named by its process and its replication id, which changes with every promotion. In a new run
-- nobody knows yet whether the tail was lost: whose publications were in it may be the last one to come. So the
-- partition settles first: it gives no positions until all workers that lived have greeted, or the time is over, and
-- then the generation changes, for nobody can tell any more. A worker whose link outlived the change is asked to greet.
--
-- The first write takes no memory, so that a full Redis lets the others pass: they take next to nothing, and have to be.
redis.call('PEXPIRE', KEYS[2], ARGV[9])
local worker, now = ARGV[1], now_milliseconds()

local function run_of_the_primary()
    local server, replication = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'replication')
    if type(server) ~= 'string' or type(replication) ~= 'string' then
        return ''
    end
    return (string.match(server, 'run_id:(%x+)') or '') .. (string.match(replication, 'master_replid:(%x+)') or '')
end

local made = tonumber(redis.call('HGET', KEYS[2], worker) or 0)
local all = tonumber(redis.call('HGET', KEYS[2], '') or 0)
local lost = made < tonumber(ARGV[2]) or all < tonumber(ARGV[3])
local run = run_of_the_primary()
local stored = redis.call('HMGET', KEYS[1], 'g', 'run', 'changed', 'settle')
local known, changed, settle = stored[1], stored[3] or '', tonumber(stored[4])

local function write(field, value)
    redis.call('HSET', KEYS[1], field, value)
end

local function change_generation()
    write('g', ARGV[4])
    write('changed', run)
    changed = run
    redis.call('DEL', KEYS[4])
    redis.call(ARGV[5], ARGV[6], 'gap')
end

if known and stored[2] ~= run then
    changed = ''
    redis.call('DEL', KEYS[4])
    local newest = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
    if newest then
        for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], newest - ARGV[8], '+inf')) do
            redis.call('SADD', KEYS[4], other)
        end
    end
    settle = now + ARGV[7]
    redis.call(ARGV[5], ARGV[6], 'greet')
end
redis.call('SREM', KEYS[4], worker)
if not known or (lost and (changed == '' or changed ~= run)) or (settle and now >= settle) then
    change_generation()
end
if settle and redis.call('EXISTS', KEYS[4]) == 0 then
    settle = nil
    redis.call(ARGV[5], ARGV[6], 'settled')
end
write('run', run)
write('changed', changed)
write('settle', settle and string.format('%d', settle) or '')
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[9])) do
    redis.call('HDEL', KEYS[2], gone)
    redis.call('ZREM', KEYS[3], gone)
end
redis.call('HSET', KEYS[2], worker, made)
redis.call('ZADD', KEYS[3], now, worker)
return { made, all, settle and 1 or 0 }
