"""Ways to replace the servers under clients that stay: what each of them costs the clients and the servers."""
