"""Limits and rate limiting."""
