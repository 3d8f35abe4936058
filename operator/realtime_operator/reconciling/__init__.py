"""Reconciliation of every dirty cluster on any platform: observe, decide, apply, report."""
