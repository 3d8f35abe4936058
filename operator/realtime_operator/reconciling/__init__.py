"""Runs observe, decide, apply for every cluster that is dirty; on any platform, woken by anybody."""
