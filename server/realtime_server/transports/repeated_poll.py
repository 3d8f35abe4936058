"""Polls of a client that polls again on the same socket: answered here, once aiohttp has parsed the first of them.

A publication for polling clients is an answer to each of them, and their next requests, for which aiohttp takes several
times as long as all the rest. A request is answered here only if its bytes are those of an earlier one, but for the
value of one parameter.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

from realtime_server.protocols.socket_io.engine_requests import Answer
from realtime_server.socket_io.engine_connection import EngineConnection
from realtime_server.transports.accelerated import Flusher, Outbox
from realtime_server.transports.compression import gzipped
from realtime_server.transports.http_server import HttpConnection
from realtime_server.transports.outbox import descriptor_of

MAX_BYTES = 4096
"""Maximum size of a head that is kept."""
_HEAD = re.compile(rb"GET [!-~]+ HTTP/1\.1\r\n(?:[\t -~]+\r\n)+\r\n")
_STAMP = re.compile(rb"[?&]t=([\w.~-]+)")
_SAFE = re.compile(rb"[\w.~-]*")


class RepeatedHead:
    """Head of a request in which nothing changes but the value of the parameter `t`, by which clients evade caches."""

    __slots__ = ("_begin", "_end", "_fixed")

    def __init__(self, head: bytes) -> None:
        found = _STAMP.search(head, 0, head.index(b"\r\n"))
        begin, end = (len(head), len(head)) if found is None else found.span(1)
        self._begin, self._end = head[:begin], head[end:]
        self._fixed = len(self._begin) + len(self._end)

    def matches(self, data: bytes) -> bool:
        """Return True when `data` is such a head."""
        begin, end = self._begin, self._end
        if not (data.startswith(begin) and data.endswith(end)) or len(data) < self._fixed:
            return False
        stamp = data[len(begin) : len(data) - len(end)]
        return stamp.isalnum() or _SAFE.fullmatch(stamp) is not None


def repeated_head(head: bytes) -> RepeatedHead | None:
    """Return the head of a request that may be repeated; None for one that is unusual, or too large to be kept."""
    return RepeatedHead(head) if len(head) <= MAX_BYTES and _HEAD.fullmatch(head) else None


class AnswerForm(NamedTuple):
    """What is common to all answers to a client: CORS headers, and the size from which they are compressed, or None."""

    shared: Mapping[str, str]
    threshold: int | None

    def encode(self, answer: Answer, *, keeps: bool) -> bytes:
        """Return a response, which ends its connection unless `keeps`."""
        status, body, content_type = answer
        headers = {"Content-Type": content_type} if content_type else {}
        if self.threshold is not None and len(body) >= self.threshold:
            body = gzipped(body)
            headers["Content-Encoding"] = "gzip"
        headers |= {"Cache-Control": "no-store", **self.shared, "Content-Length": str(len(body))}
        headers["Date"] = formatdate(usegmt=True)
        if not keeps:
            headers["Connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode() + body


class SharedAnswer:
    """Answer to the poll that was answered last: one for many clients is encoded once, in one iteration of the loop.

    It is that to `answer` for clients with the same `form`, and ends their connections unless `keeps`.
    """

    __slots__ = ("answer", "encoded", "form", "keeps", "now")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.form = AnswerForm({}, None)
        self.now = 0.0
        """The loop's time, which is the same in one iteration."""
        self.encoded = b""
        self.keeps = True

    def encode(self, answer: Answer, form: AnswerForm, now: float, *, keeps: bool) -> None:
        """Encode another one."""
        self.answer, self.form, self.now, self.keeps = answer, form, now, keeps
        self.encoded = form.encode(answer, keeps=keeps)


class RepeatedPoll(Outbox):
    """Polls of one client on one socket; implements http_server's RepeatedRequest.

    `last` is that of all clients of the worker.
    """

    __slots__ = (
        "_answered_at", "_connection", "_direct", "_form", "_head", "_held", "_last", "_loop", "_socket",
        "_stream", "pending",
    )  # fmt: skip

    def __init__(
        self,
        head: RepeatedHead,
        socket: HttpConnection,
        stream: asyncio.Transport,
        connection: EngineConnection,
        form: AnswerForm,
        last: SharedAnswer,
        flusher: Flusher,
    ) -> None:
        super().__init__(flusher)
        self._head = head
        self._socket = socket
        self._stream = stream
        self._direct = descriptor_of(stream)
        self._connection = connection
        self._form = last.form if form == last.form else form  # which is faster to compare
        self._last = last
        self._loop = asyncio.get_running_loop()
        self._answered_at = self._loop.time()
        self._held = b""
        self.pending = False
        self.begin(stream, self._direct)

    @property
    def idle_since(self) -> float:
        """See RepeatedRequest."""
        return self._loop.time() if self.pending else self._answered_at

    def take(self, data: bytes) -> bool:
        """See RepeatedRequest."""
        if not (self._head.matches(data) and self._connection.polls):
            self.begin(self._stream, self._direct)  # aiohttp's answer goes before what is written here next
            return False
        self.pending = True
        self._connection.poll(self._reply)
        return True

    def hold(self, data: bytes) -> None:
        """See RepeatedRequest."""
        self._held += data
        self._stream.pause_reading()

    def lose(self) -> None:
        """See RepeatedRequest."""
        was_pending, self.pending = self.pending, False
        self.stop()
        if was_pending:
            self._connection.lose()

    def on_overflow(self) -> None:
        """Abort the connection of a client that did not read: an answer is larger than all that may wait."""
        self._stream.abort()

    def _reply(self, answer: Answer) -> None:
        if not self.pending:  # the socket is lost
            return
        self.pending = False
        now = self._answered_at = self._loop.time()
        last, form = self._last, self._form
        if answer is not last.answer or now != last.now or (form is not last.form and form != last.form):
            last.encode(answer, form, now, keeps=self._socket.keeps())
        self.write(last.encoded)
        if not last.keeps:
            self._socket.force_close()
        elif self._held:
            self._loop.call_soon(self._release)

    def _release(self) -> None:
        """Go on with what the client has sent before it was answered."""
        self.flush()
        held, self._held = self._held, b""
        if not self.stopped:
            self._stream.resume_reading()
            self._socket.data_received(held)
