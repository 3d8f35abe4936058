"""Tests of realtime_operator.cli.commands."""
