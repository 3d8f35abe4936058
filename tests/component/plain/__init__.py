"""Routes for plain clients, on real server processes with clients that know nothing of them."""
