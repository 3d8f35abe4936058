"""Platforms, on which clusters are observed and plans are applied."""
