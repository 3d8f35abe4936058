"""Tests of realtime_server.core.control."""
