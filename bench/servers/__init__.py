"""Peers that do the same job as the server in these scenarios, as small as their libraries allow."""
