"""Logs: an event in lower case with keys and values; JSON in a pod, text on a terminal. Secrets never go in."""

from __future__ import annotations

import logging
import os
import sys

import structlog
from aiohttp.http_exceptions import HttpProcessingError


def configure() -> None:
    """Set up logging of the process; LOG_LEVEL (info) and LOG_FORMAT (json, or text on a terminal) override."""
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
    """Return what writes events as text, with values in quotes: none begins a line or is a command to a terminal."""
    return structlog.dev.ConsoleRenderer(colors=False, repr_native_str=True)


def is_ours(record: logging.LogRecord) -> bool:
    """Whether aiohttp reports something that failed here, and not a request that is no HTTP.

    Those are answered with 400. Anybody can send them, and each would be a stack trace in the log.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)
