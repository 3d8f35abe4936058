-- Some of the revocations that were added or extended after a position, in the order of their changes.
-- ARGV: epoch and place of the position, how many at most.
-- Returns 1 if it begins at the beginning, since there is no such position (any more), the epoch, the place of the last
-- one, and for each of them subject, issued before, when it expires.
drop_expired()
local meta = redis.call('HMGET', META, 'e', 'n')
local epoch, last, since = meta[1] or '', tonumber(meta[2] or 0), tonumber(ARGV[2])
local anew = epoch == '' or epoch ~= ARGV[1] or since > last
if anew then
    since = 0
end
local found = {}
local entries = redis.call('ZRANGEBYSCORE', ORDER, string.format('(%d', since), '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for index = 1, #entries, 2 do
    local subject = entries[index]
    table.insert(found, subject)
    table.insert(found, redis.call('HGET', VALUES, subject))
    table.insert(found, redis.call('ZSCORE', EXPIRY, subject))
    since = tonumber(entries[index + 1])
end
return { anew and 1 or 0, epoch, since, found }
