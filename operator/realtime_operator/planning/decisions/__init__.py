"""Decisions of a reconcile, from the spec, the status and the observation."""
