"""Tests of realtime_server.core.sessions."""
