"""Benchmarks of the server beside its peers, on the same core, in one run: `make bench`."""
