-- Remove a state. ARGV: id, owner whose it has to be.
if read(ARGV[1]) == ARGV[2] then
    drop({ ARGV[1] })
end
return 1
