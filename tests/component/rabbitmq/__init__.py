"""Tests of messages between RabbitMQ and clients, with real processes."""
