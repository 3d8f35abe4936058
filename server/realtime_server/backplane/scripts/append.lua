-- Add an event to a queue. KEYS[1]: stream. ARGV: size, event, how long it is kept when none is added (ms).
-- Returns 1 if the oldest one had to go.
local full = redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1])
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', 'e', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return full and 1 or 0
