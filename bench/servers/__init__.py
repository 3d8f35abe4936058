"""Minimal peers that do the server's job in these scenarios with other libraries."""
