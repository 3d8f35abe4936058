"""Scenarios of a cluster's users on any platform: pytest tests/scenarios --platform local|kubernetes."""
