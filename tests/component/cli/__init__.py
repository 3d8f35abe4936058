"""Tests of the command line on a local platform."""
