"""What the HTTP APIs have in common: JSON answers, errors and credentials."""

from __future__ import annotations

import hmac

from aiohttp import web


def json_response(document: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(document, status=status)


def error_response(status: int, message: str) -> web.Response:
    """An answer that says what is wrong; its code is the HTTP status."""
    return json_response({"error": {"code": status, "message": message}}, status)


def same_secret(given: str, wanted: str) -> bool:
    """Compare in constant time; nothing is equal to an empty secret."""
    return bool(wanted) and hmac.compare_digest(given.encode(errors="surrogateescape"), wanted.encode())
