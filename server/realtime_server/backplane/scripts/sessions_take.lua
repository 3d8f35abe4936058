-- Remove a state and return it. ARGV: id.
local owner, state = read(ARGV[1])
drop({ ARGV[1] })
return owner and state or false
