"""Client headers that the backend receives: which may be forwarded, and which are legal. Sans I/O.

A client sends them with its HTTP request or, since browsers cannot set any, in its connect command. Everything else
about a request to the backend is the server's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

RESERVED = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",  # hop-by-hop (RFC 9110, section 7.6.1)
        "accept-encoding", "content-encoding", "content-length", "content-range", "content-type", "expect", "host",
        "x-realtime-signature",  # set by the server: they describe its own request, and the answers that it can read
    }
)  # fmt: skip
"""Names in lower case that are never forwarded; a configuration that lists one is refused."""
OF_PROXIES = re.compile("forwarded|via|x-real-ip|x-forwarded-.*")
"""Names that proxies set: forwarded from an HTTP request, but not from a connect command, which passes no proxy."""
MAX_BYTES = 8192
"""Maximum size of names and values in a connect command: the limit of common HTTP servers."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\x80-\ud7ff\ue000-\U0010ffff]*")
"""Legal values of RFC 9110, sections 5.1 and 5.5; characters beyond ASCII are sent as UTF-8."""


class InvalidHeadersError(Exception):
    """Headers that cannot be sent; the text says why, without the client's input."""


def passed_on(given: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the headers of a connect command that the backend receives, by name in lower case.

    `names` are in lower case. Raises InvalidHeadersError for any illegal header, forwarded or not.
    """
    found: dict[str, str] = {}
    size = 0
    for name, value in given.items():
        if _NAME.fullmatch(name) is None:
            raise InvalidHeadersError("a name is not a valid HTTP header name")
        if _VALUE.fullmatch(value) is None:
            raise InvalidHeadersError("a value has characters that HTTP does not allow")
        if name.lower() in found:
            raise InvalidHeadersError("a name is given twice")
        found[name.lower()] = value
        size += len(name) + len(value.encode())
    if size > MAX_BYTES:
        raise InvalidHeadersError(f"they have more than {MAX_BYTES} bytes")
    return {name: found[name] for name in names if name in found and not OF_PROXIES.fullmatch(name)}
