"""Socket.IO: packets of Engine.IO (protocol 4) and of Socket.IO (protocol 5)."""
