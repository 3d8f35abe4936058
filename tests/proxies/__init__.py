"""nginx, HAProxy, Caddy and Apache with the configurations of examples/proxies: `make test-proxies`."""
