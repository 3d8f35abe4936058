"""Canaries: their steps, and the gates that compare the new servers with the others."""
