"""The WebSocket server that a RealtimeCluster runs; it also runs on its own."""
