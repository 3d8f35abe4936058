-- Collect a part of a stream that is imported. KEYS[1]: generation. KEYS[2]: what was collected.
-- ARGV: '1' for the first part, how long it is kept until the next part comes (milliseconds), then for each publication
-- offset, time, publication.
if ARGV[1] == '1' and redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('DEL', KEYS[2])
end
for index = 3, #ARGV, 3 do
    redis.call('XADD', KEYS[2], ARGV[index] .. '-0', 't', ARGV[index + 1], 'p', ARGV[index + 2])
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
