"""Tests of builders.servers."""
