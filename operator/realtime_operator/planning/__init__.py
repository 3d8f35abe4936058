"""Decisions: a World and a spec in, a plan of actions out. Pure, without I/O and clock."""
