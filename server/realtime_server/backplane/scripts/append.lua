-- Add an event to a queue. KEYS[1]: stream. ARGV: size, event. Returns 1 if the oldest one had to go.
local full = redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1])
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', 'e', ARGV[2])
return full and 1 or 0
