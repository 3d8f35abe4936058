"""Tests of messages of queues."""
