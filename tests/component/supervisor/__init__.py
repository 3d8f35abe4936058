"""Real server with worker processes: their deaths, and stopping."""
