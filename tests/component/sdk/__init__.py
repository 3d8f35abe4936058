"""Stock SDKs against real server processes with a real Redis."""
