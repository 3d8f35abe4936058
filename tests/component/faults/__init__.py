"""Servers as processes, and a Redis that dies, hangs, is cut off, or is replaced while they publish."""
