"""Tests of realtime_server.core.channels."""
