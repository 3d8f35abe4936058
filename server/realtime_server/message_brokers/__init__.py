"""Consumers of message brokers: drivers of core's ports, and the carrying out of messages."""
