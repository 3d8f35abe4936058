"""Drivers for the backplane ports that core declares."""
