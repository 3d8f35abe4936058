-- Events of a queue were handled. KEYS[1]: stream. ARGV: consumer group, then the IDs. Returns 1.
for index = 2, #ARGV do
    redis.pcall('XACK', KEYS[1], ARGV[1], ARGV[index])
    redis.call('XDEL', KEYS[1], ARGV[index])
end
return 1
