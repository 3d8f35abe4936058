"""The platform Kubernetes: the only code that talks to the API server."""
