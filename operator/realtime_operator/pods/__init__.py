"""Talks to the servers that the operator runs."""
