"""Tests of what Prometheus and the Prometheus operator make of this project's files: `make e2e-monitoring`."""
