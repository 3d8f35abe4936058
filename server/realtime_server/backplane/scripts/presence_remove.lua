-- Remove a client. ARGV: client.
remove(ARGV[1])
return 1
