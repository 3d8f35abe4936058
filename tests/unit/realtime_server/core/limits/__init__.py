"""Tests of realtime_server.core.limits."""
