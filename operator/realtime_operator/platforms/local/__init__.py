"""The local platform: the same plan on one machine, carried out with processes instead of pods."""
