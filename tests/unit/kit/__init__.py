"""Tests of the test kit's own arithmetic."""
