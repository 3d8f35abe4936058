"""Move bytes."""
