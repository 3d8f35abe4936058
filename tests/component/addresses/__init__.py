"""Addresses of a server on machines with different address families."""
