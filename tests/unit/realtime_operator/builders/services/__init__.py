"""Tests of builders.services."""
