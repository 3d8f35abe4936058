"""Routes for clients without an SDK: plain WebSocket and Server-Sent Events."""
