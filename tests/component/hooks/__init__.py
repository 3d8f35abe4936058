"""Hooks of a real server process, with a real backend over HTTP."""
