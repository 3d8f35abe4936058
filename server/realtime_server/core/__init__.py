"""Channels, sessions, publications and options in the server's own types: decides, never moves bytes."""
