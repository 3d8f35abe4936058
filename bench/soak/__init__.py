"""Hours of clients that come and go: does the server's memory stay flat? `python -m bench.soak --minutes 30`."""
