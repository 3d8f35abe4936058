"""Tests of realtime_server.socket_io."""
