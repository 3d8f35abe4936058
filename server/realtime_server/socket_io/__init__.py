"""Socket.IO: the sockets of clients, their events, and the Engine.IO connections that carry them; no I/O."""
