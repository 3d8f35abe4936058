"""A real single-node Kubernetes on this machine: no Docker, no registry, in a network namespace of its own."""
