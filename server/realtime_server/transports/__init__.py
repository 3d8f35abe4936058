"""Transports of the client protocol."""
