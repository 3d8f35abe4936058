"""Tests of what any protocol can do."""
