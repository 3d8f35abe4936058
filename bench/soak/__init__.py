"""Soak test of the server's memory under clients that come and go: `python -m bench.soak --minutes 30`."""
