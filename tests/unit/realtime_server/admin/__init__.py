"""Health, metrics, the admin API and the server API."""
