"""The objects that monitor a cluster."""
