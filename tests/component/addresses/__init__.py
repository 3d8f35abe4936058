"""Addresses and families of addresses."""
