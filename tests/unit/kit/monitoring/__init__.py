"""Tests of what recordings and the dashboard's answers are made of."""
