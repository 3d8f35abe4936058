"""Port for clients behind TLS and proxies."""
