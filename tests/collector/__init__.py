"""The servers' spans in the real OpenTelemetry Collector: `make test-tracing`."""
