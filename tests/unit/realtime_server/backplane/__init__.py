"""Drivers of the backplane, as far as they need no backplane."""
