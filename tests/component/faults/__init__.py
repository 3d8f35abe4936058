"""Servers as processes, with a Redis that dies, hangs, is cut off, or is replaced while they publish."""
