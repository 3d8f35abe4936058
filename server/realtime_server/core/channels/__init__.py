"""Channels: subscriptions, delivery of publications, recovery."""
