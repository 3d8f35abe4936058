"""What the HTTP APIs have in common: JSON answers, errors and credentials."""

from __future__ import annotations

import hmac
import json

from aiohttp import web

BODY_BYTES = 8 * 1024 * 1024
"""Largest body that an API takes."""


def json_response(document: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(document, status=status)


def error_response(status: int, message: str) -> web.Response:
    """An answer that says what is wrong; its code is the HTTP status."""
    return json_response({"error": {"code": status, "message": message}}, status)


def same_secret(given: str, wanted: str) -> bool:
    """Compare in constant time; nothing is equal to an empty secret."""
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


async def json_body(request: web.Request) -> dict[str, object] | None:
    """The JSON object of a request's body, `{}` when it is empty; None when it is something else."""
    text = await request.text()
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
