"""Server API of a cluster of two real servers with a real Redis."""
