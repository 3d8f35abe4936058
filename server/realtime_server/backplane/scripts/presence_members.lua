-- All clients with their infos: client, info, client, info and so on.
drop_expired(now_milliseconds(), math.huge)
return redis.call('HGETALL', CLIENTS)
