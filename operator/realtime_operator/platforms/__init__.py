"""Where a plan is observed and applied."""
