"""Tests of builders.configuration."""
