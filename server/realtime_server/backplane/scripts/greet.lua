-- A worker says hello after it has connected, before it does anything else: find out whether publications were lost.
-- KEYS[1]: generation. KEYS[2]: sorted set worker -> when it was last seen (ms). KEYS[3]: set of the workers that are
-- waited for.
-- ARGV: worker, the greatest number of a publication that it knows, '1' if it has greeted before, candidate generation,
-- the command that publishes, pub/sub channel for gaps, how long a partition settles, after how long a silent worker is
-- gone, how long it is remembered, how long a generation is kept that nobody uses (the last four in ms).
-- Returns how many publications there are, and 1 while the partition settles.
--
-- All publications with history are numbered; a worker knows the numbers of its own that were confirmed to it, and of
-- those that it saw arrive. Redis keeps the order of writes when it loses the last ones (a crash before the disk had
-- them, a failover to a replica that lagged). So if there are as many publications as any worker knows, nothing was lost
-- that anybody could know of. If there are less, or a worker is forgotten that was here, offsets will be given a second
-- time: no position from before may be trusted, and the generation changes, once for each run of a primary. Everybody
-- is told.
--
-- A run of a primary is named by its process and its replication id, which changes with every promotion. In a new run
-- nobody knows yet whether the tail was lost: who knows of it may be the last one to come. So the partition settles
-- first: it gives no positions and no numbers until all workers that lived have greeted, or the time is over, and then
-- the generation changes, for nobody can tell any more. A worker whose link outlived the change is asked to greet.
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

local run = run_of_the_primary()
local stored = redis.call('HMGET', KEYS[1], 'g', 'run', 'changed', 'settle', 'n')
local known, changed, settle = stored[1], stored[3] or '', tonumber(stored[4])
local number = tonumber(stored[5]) or 0
local forgotten = ARGV[3] == '1' and not redis.call('ZSCORE', KEYS[2], worker)
local lost = number < tonumber(ARGV[2]) or forgotten

local function write(field, value)
    redis.call('HSET', KEYS[1], field, value)
end

local function change_generation()
    write('g', ARGV[4])
    changed = run
    redis.call('DEL', KEYS[3])
    redis.call(ARGV[5], ARGV[6], 'gap')
end

if known and stored[2] ~= run then
    changed = ''
    redis.call('DEL', KEYS[3])
    local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
    if newest then
        for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], newest - ARGV[8], '+inf')) do
            redis.call('SADD', KEYS[3], other)
        end
        redis.call('PEXPIRE', KEYS[3], ARGV[9])
    end
    settle = now + ARGV[7]
    redis.call(ARGV[5], ARGV[6], 'greet')
end
redis.call('SREM', KEYS[3], worker)
if not known or (lost and (changed == '' or changed ~= run)) or (settle and now >= settle) then
    change_generation()
end
if settle and redis.call('EXISTS', KEYS[3]) == 0 then
    settle = nil
    redis.call(ARGV[5], ARGV[6], 'settled')
end
write('run', run)
write('changed', changed)
write('settle', settle and string.format('%d', settle) or '')
redis.call('PEXPIRE', KEYS[1], ARGV[10])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[9])
redis.call('ZADD', KEYS[2], now, worker)
redis.call('PEXPIRE', KEYS[2], ARGV[9])
return { number, settle and 1 or 0 }
