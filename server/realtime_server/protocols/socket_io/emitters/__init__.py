"""Formats in which the emitters of existing backends write to Redis what all servers are to do."""
