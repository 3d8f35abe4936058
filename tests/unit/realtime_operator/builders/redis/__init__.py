"""Tests of builders.redis."""
