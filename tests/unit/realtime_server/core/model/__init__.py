"""Tests of realtime_server.core.model."""
