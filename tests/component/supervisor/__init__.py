"""A real server with real worker processes: what it does when they die, and when it is told to stop."""
