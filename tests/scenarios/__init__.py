"""What a cluster does for its users, on any platform: pytest tests/scenarios --platform local|kubernetes."""
