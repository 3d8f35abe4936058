-- What the scripts of sessions' states share. KEYS[1]: sorted set id -> when it expires (ms). KEYS[2]: hash id -> owner,
-- a line feed, and the packed state.

local now = now_milliseconds()

-- Whose state it is, and the state; nothing when it has expired.
local function read(id)
    local expires = redis.call('ZSCORE', KEYS[1], id)
    local stored = expires and tonumber(expires) > now and redis.call('HGET', KEYS[2], id)
    if not stored then
        return
    end
    local ends = string.find(stored, '\n', 1, true)
    return string.sub(stored, 1, ends - 1), string.sub(stored, ends + 1)
end

local function drop(ids)
    if #ids > 0 then
        redis.call('ZREM', KEYS[1], unpack(ids))
        redis.call('HDEL', KEYS[2], unpack(ids))
    end
end

-- Drop some of the expired ones, and let the keys expire with the last.
local function tidy()
    drop(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100))
    local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
    if last then
        redis.call('PEXPIREAT', KEYS[1], last)
        redis.call('PEXPIREAT', KEYS[2], last)
    end
end
