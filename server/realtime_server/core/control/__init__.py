"""Messages between the workers of a cluster, and their handling."""
