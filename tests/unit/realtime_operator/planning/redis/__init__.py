"""Tests of planning.redis."""
