"""Unit tests of realtime_server.protocols.socket_io.emitters."""
