-- How many clients and how many users. Users whose clients have all expired are counted until they are dropped.
local now = now_milliseconds()
drop_expired(now, 1024)
return { redis.call('ZCOUNT', EXPIRY, string.format('(%d', now), '+inf'), redis.call('HLEN', USERS) }
