"""`realtime` and `kubectl realtime`: what people type, on every platform."""
