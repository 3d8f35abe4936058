"""Tests of the table of namespace options and its generators."""
