"""Component tests against a real API server."""
