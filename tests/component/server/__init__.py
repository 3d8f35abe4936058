"""Real server, driven over its sockets by a client of the tests."""
