"""The configuration file of the servers."""
