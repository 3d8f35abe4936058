"""Protocols: bytes to commands, results to bytes."""
