"""Tokens and their keys, with a real server process."""
