"""Tests of planning.model."""
