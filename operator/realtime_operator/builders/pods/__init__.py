"""What pods of servers and of Redis have in common, and the settings of a spec in them."""
