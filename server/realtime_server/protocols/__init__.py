"""Translate bytes to and from the types of core: never await, never raise on bad input."""
