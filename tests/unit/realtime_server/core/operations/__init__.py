"""Unit tests of realtime_server.core.operations."""
