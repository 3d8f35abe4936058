"""What stands between clients and their port: TLS, proxies."""
