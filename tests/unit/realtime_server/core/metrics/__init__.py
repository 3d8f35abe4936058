"""Tests of realtime_server.core.metrics."""
