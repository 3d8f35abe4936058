"""Sessions: the state of one client on one connection."""
