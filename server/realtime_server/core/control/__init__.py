"""What the workers of a cluster ask of each other."""
