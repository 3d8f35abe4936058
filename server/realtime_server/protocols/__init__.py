"""Translate bytes to and from the types of core: never await; bad input has one result or error, documented there."""
