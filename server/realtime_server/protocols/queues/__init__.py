"""Messages of queues <-> commands of the server API."""
