"""The table of a channel namespace's options, and the generators of both programs' modules from it."""
