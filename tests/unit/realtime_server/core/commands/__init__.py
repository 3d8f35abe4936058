"""Tests of realtime_server.core.commands."""
