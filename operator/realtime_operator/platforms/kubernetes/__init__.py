"""Kubernetes as a platform: the only code that talks to the API server."""
