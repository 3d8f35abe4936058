"""Memory and requests of the operator compared with those of an earlier commit, on one API server."""
