"""Tests of planning.revisions."""
