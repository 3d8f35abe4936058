"""The soak's arithmetic."""
