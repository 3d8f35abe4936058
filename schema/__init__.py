"""The table of a channel namespace's options, and what `make options` generates from it for both programs."""
