"""Web page that shows the messages of a channel: for development only."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from aiohttp import web

from realtime_server.transports.http_server import HttpRequest

PATH = "/"
METHODS = ("GET", "HEAD")


async def show(asked: HttpRequest) -> web.StreamResponse:
    """Return the page, with a policy (CSP Level 3) that allows only the page's own scripts and styles."""
    del asked
    body, policy = _page()
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=body, headers=headers)


@cache
def _page() -> tuple[bytes, str]:
    body = files(__package__).joinpath("development_page.html").read_bytes()
    policy = (
        f"default-src 'none'; script-src '{_hash_of(b'script', body)}'; style-src '{_hash_of(b'style', body)}';"
        " connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return body, policy


def _hash_of(element: bytes, body: bytes) -> str:
    """Return the hash of an element's content, in the form of a policy."""
    found = re.search(b"<%b>(.*?)</%b>" % (element, element), body, flags=re.DOTALL)
    assert found is not None
    return "sha256-" + base64.b64encode(hashlib.sha256(found[1]).digest()).decode()
