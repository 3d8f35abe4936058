"""Tests of planning.canary."""
