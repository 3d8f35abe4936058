"""Drivers of the ports that core declares."""
