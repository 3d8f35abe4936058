"""WebSocket conformance."""
