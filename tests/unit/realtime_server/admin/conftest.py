"""Fixtures."""

from tests.unit.realtime_server.admin.api_site import site

__all__ = ["site"]
