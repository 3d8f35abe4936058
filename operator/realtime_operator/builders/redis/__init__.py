"""The objects of the managed Redis."""
