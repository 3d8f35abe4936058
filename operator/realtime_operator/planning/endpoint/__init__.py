"""Where clients connect: addresses, and what controllers say about the way there."""
