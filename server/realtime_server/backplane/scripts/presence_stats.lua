-- How many clients and how many users.
drop_expired(now_milliseconds())
return { redis.call('HLEN', KEYS[2]), redis.call('HLEN', KEYS[3]) }
