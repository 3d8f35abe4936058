"""Tests of routes for clients without an SDK."""
