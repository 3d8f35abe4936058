"""Tests of the consumers of message brokers."""
