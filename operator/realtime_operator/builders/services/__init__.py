"""The objects by which servers are reached."""
