"""Lua scripts: each is one atomic step in Redis.

A channel with history has two keys. META is a hash with the epoch `e` and the offset `o` of the newest publication; it
outlives the publications. LOG is a list of the newest publications, without gaps, so that an entry's offset follows
from its place in the list.
"""

PUBLISH = """
local epoch = redis.call('HGET', KEYS[1], 'e')
if not epoch then
  epoch = ARGV[6]
  redis.call('HSET', KEYS[1], 'e', epoch)
end
local offset = redis.call('HINCRBY', KEYS[1], 'o', 1)
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[1], offset .. ':' .. epoch .. ':' .. ARGV[2])
return {offset, epoch}
"""
"""KEYS: META, LOG. ARGV: pub/sub channel, publication, size, log ttl ms, meta ttl ms, an epoch if there is none."""

HISTORY = """
local epoch = redis.call('HGET', KEYS[1], 'e')
if not epoch then
  epoch = ARGV[5]
  redis.call('HSET', KEYS[1], 'e', epoch)
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local top = tonumber(redis.call('HGET', KEYS[1], 'o') or '0')
local first = top - redis.call('LLEN', KEYS[2]) + 1
local limit, since = tonumber(ARGV[1]), tonumber(ARGV[2])
local from, to = first, top
if ARGV[3] == '1' then
  if since >= 0 then to = math.min(top, since - 1) end
  if limit >= 0 then from = math.max(first, to - limit + 1) end
else
  if since >= 0 then from = math.max(first, since + 1) end
  if limit >= 0 then to = math.min(top, from + limit - 1) end
end
local found = {}
if from <= to then found = redis.call('LRANGE', KEYS[2], from - first, to - first) end
return {top, epoch, from, found}
"""
"""KEYS: META, LOG. ARGV: limit (negative: all), since (negative: none), reverse (1 or 0), meta ttl ms, an epoch."""

_EXPIRE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function remove(client)
  local info = redis.call('HGET', KEYS[1], client)
  if info then
    local user = cjson.decode(info).user
    if redis.call('HINCRBY', KEYS[3], user, -1) <= 0 then redis.call('HDEL', KEYS[3], user) end
    redis.call('HDEL', KEYS[1], client)
  end
  redis.call('ZREM', KEYS[2], client)
end
for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)) do remove(client) end
"""
"""KEYS: INFO (hash, client to info), EXPIRY (sorted set, client to ms), USERS (hash, user to number of clients)."""

PRESENCE_ADD = (
    _EXPIRE
    + """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then redis.call('HINCRBY', KEYS[3], ARGV[2], 1) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[4]), ARGV[1])
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 2 * tonumber(ARGV[4])) end
"""
)
"""ARGV: client, user, info, ttl ms."""

PRESENCE_REMOVE = _EXPIRE + "remove(ARGV[1])"
"""ARGV: client."""

PRESENCE_MEMBERS = _EXPIRE + "return redis.call('HVALS', KEYS[1])"

PRESENCE_STATS = _EXPIRE + "return {redis.call('HLEN', KEYS[1]), redis.call('HLEN', KEYS[3])}"
