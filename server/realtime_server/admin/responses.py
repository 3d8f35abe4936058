"""JSON answers, errors and the comparison of credentials, shared by the HTTP APIs."""

from __future__ import annotations

import hmac

from aiohttp import web


def json_response(document: object, status: int = 200) -> web.Response:
    """Return an answer with a JSON body."""
    return web.json_response(document, status=status)


def error_response(status: int, message: str) -> web.Response:
    """Return an error answer with a message; the error code is the HTTP status."""
    return json_response({"error": {"code": status, "message": message}}, status)


def same_secret(given: str, wanted: str) -> bool:
    """Compare two secrets in constant time; False when `wanted` is empty."""
    return bool(wanted) and hmac.compare_digest(given.encode(errors="surrogateescape"), wanted.encode())
