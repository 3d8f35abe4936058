"""Filtering and rendering of the log."""

from __future__ import annotations

import logging

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from realtime_server.log import is_ours, text_renderer


@pytest.mark.parametrize(
    ("error", "logged"), [(BadHttpMessage("what is this?"), False), (RuntimeError("a defect"), True), (None, True)]
)
def test_requests_that_are_no_http_are_not_logged(error: Exception | None, logged: bool) -> None:
    """Failures of this server are logged."""
    exc_info = None if error is None else (type(error), error, None)
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 0, "Error handling request", (), exc_info)
    assert is_ours(record) is logged


def test_no_value_writes_lines_or_commands_to_a_terminal() -> None:
    """Values from a backend, an identity provider or Redis are quoted."""
    written = text_renderer()(None, "warning", {"event": "failed", "error": "a\r\n[error] b\x1b[2J\x9b"})
    assert written.isprintable()
