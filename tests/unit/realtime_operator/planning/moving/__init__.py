"""Tests of planning.moving."""
