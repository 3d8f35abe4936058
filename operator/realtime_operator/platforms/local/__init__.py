"""The local platform: plans carried out on one machine, with processes instead of pods."""
