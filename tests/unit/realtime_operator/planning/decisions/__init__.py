"""Tests of planning.decisions."""
