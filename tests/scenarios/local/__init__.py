"""Scenarios of the local platform: its process, its state folder, its file."""
