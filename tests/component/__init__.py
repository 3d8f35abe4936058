"""Component tests of real processes."""
