"""Unit tests of realtime_server.backplane, as far as they need no Redis."""
