"""The real server, driven over its sockets by a client of our own."""
