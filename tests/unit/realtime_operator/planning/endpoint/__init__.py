"""Tests of planning.endpoint."""
