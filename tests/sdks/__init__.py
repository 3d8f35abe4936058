"""Every version of every stock SDK that the server is held against: `make test-sdks`."""
