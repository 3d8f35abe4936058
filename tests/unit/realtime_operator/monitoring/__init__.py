"""Tests of alerts and dashboard as text; tests/component/monitoring runs them against a real Prometheus."""
