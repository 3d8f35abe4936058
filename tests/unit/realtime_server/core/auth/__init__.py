"""Tests of realtime_server.core.auth."""
