"""Tests of builders.monitoring."""
