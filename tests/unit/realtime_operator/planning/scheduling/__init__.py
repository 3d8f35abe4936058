"""Tests of planning.scheduling."""
