"""Paths on which WebSockets open, and what the first bytes of a request say about it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from realtime_server.transports.path_table import BELOW

HEAD_BYTES = 16_384
"""Maximum size of a request's head."""
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*\bwebsocket\b", re.IGNORECASE)


class WebSocketPaths:
    """Paths on which WebSockets open.

    Each GET on a `dedicated` path is a handshake. A path in `shared` is that of an HTTP endpoint too: there a GET with
    the header `Upgrade: websocket` is one. With `/*` at its end, a path stands for all that are below it.
    """

    __slots__ = ("_longest", "_shared", "dedicated")

    def __init__(self, dedicated: Iterable[str] = (), shared: Iterable[str] = ()) -> None:
        self.dedicated = _beginnings(dedicated)
        """Beginnings of requests on dedicated paths."""
        self._shared = _beginnings(shared)
        self._longest = max(map(len, (*self.dedicated, *self._shared)), default=0)

    def open_websocket(self, data: bytes) -> bool | None:
        """Return True when a request that begins with `data` opens a WebSocket, None for too few bytes.

        It depends on the path alone for a dedicated one, on the whole head, within HEAD_BYTES, for a shared one.
        """
        if data.startswith(self.dedicated):
            return True
        if not data.startswith(self._shared):
            may_become = len(data) < self._longest and any(
                beginning.startswith(data) for beginning in (*self.dedicated, *self._shared)
            )
            return None if may_become else False
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES)
        if end < 0:
            return None if len(data) < HEAD_BYTES else False
        return _UPGRADE.search(data, 0, end) is not None


def _beginnings(paths: Iterable[str]) -> tuple[bytes, ...]:
    lines = ([path.removesuffix("*")] if path.endswith(BELOW) else [f"{path} ", f"{path}?"] for path in paths)
    return tuple(f"GET {line}".encode() for each in lines for line in each)
