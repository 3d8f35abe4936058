"""Tests of realtime_server.core.ports."""
