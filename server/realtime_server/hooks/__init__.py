"""The user's backend over HTTP: asked before a client is answered, and told of events."""
