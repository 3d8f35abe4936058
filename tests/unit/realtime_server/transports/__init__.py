"""Unit tests of realtime_server.transports."""
