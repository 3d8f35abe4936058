"""Tokens whose keys an identity provider publishes, against a real server process."""
