"""Tests of builders.pods."""
