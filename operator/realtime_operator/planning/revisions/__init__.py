"""Which revision the servers run, those before it, and what it was made from."""
