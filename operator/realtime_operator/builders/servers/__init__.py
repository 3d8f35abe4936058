"""The objects of a revision of servers."""
