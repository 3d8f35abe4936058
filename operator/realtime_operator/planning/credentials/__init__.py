"""Generated credentials and certificates: how they change, and how they are rotated."""
