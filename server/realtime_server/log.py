"""Logging: events in lower case with keys and values, as JSON in a pod and as text on a terminal; never secrets."""

from __future__ import annotations

import logging
import os
import sys

import structlog
from aiohttp.http_exceptions import HttpProcessingError


def configure() -> None:
    """Set up logging of the process; LOG_LEVEL (default info) and LOG_FORMAT (json or text) override the defaults."""
    level = os.environ.get("LOG_LEVEL", "info").upper()
    text = os.environ.get("LOG_FORMAT", "text" if sys.stderr.isatty() else "json") == "text"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            text_renderer() if text else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(level, logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("aiohttp.server").addFilter(is_ours)


def text_renderer() -> structlog.dev.ConsoleRenderer:
    """Return a renderer of events as text.

    It quotes values, so that none can begin a new line or control the terminal.
    """
    return structlog.dev.ConsoleRenderer(colors=False, repr_native_str=True)


def is_ours(record: logging.LogRecord) -> bool:
    """Return True for a record of a failure here, and False for one of a request that is not valid HTTP.

    The latter is answered with 400; anybody can send it, and it would write a stack trace.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)
