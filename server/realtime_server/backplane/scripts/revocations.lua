-- What the scripts of revocations share. KEYS[1]: hash subject -> issued before (seconds), KEYS[2]: sorted set subject ->
-- when it expires (seconds), KEYS[3]: sorted set subject -> its place in the order of changes, KEYS[4]: hash with e, the
-- epoch of this order, and n, the last place in it.
local VALUES, EXPIRY, ORDER, META = unpack(KEYS)

-- A Redis that evicts keys may have taken some: a new epoch has every worker bring what it knows.
if redis.call('EXISTS', unpack(KEYS)) % #KEYS ~= 0 then
    redis.call('DEL', unpack(KEYS))
end

local function drop_expired()
    local expired
    repeat
        expired = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', now_milliseconds() / 1000, 'LIMIT', 0, 1000)
        if #expired > 0 then
            redis.call('HDEL', VALUES, unpack(expired))
            redis.call('ZREM', EXPIRY, unpack(expired))
            redis.call('ZREM', ORDER, unpack(expired))
        end
    until #expired < 1000
end
