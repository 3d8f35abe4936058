"""Tests of planning.credentials."""
