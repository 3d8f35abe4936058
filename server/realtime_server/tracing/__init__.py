"""Distributed tracing with OpenTelemetry; imported only by a worker that exports spans."""
