"""Memory and requests of the operator beside those of an earlier commit, on one API server."""
