"""Probe of a worker by itself: a client in its own process connects, as any client would, and leaves.

It takes the way of every client from the first message on: admission, verification of the token, connect hook,
channels that come with the connection. Sockets, TLS and proxies are not on it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jwt
import msgspec

from realtime_server.codes import DisconnectCode
from realtime_server.core.auth.web_token import DIGESTS, TokenKey
from realtime_server.core.metrics.recent_events import CATALOGUE, OTHER
from realtime_server.core.node import Node
from realtime_server.core.ports.api import ProbeResult
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.protocols.centrifuge.json_codec import JsonCodec

USER = "realtime-probe"
"""User of the probe's token, and name of the client."""
TOKEN_SECONDS = 60
TIMED_OUT = "timeout"
CODEC = JsonCodec(lambda message: message)
TRANSPORT = TransportInfo(name="probe", remote="127.0.0.1")


class _ReplyError(msgspec.Struct):
    code: int


class _Reply(msgspec.Struct):
    error: _ReplyError | None = None


class ProbeConnection:
    """Connection without a socket: implements core's Connection. `answered` gets the code of the answer, None: ok."""

    congested = False
    written_bytes = 0

    def __init__(self) -> None:
        self.answered: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def write(self, frames: bytes) -> None:
        """See Connection."""
        if not self.answered.done():
            error = msgspec.json.decode(frames, type=_Reply).error
            self.answered.set_result(None if error is None else error.code)

    def close(self, code: DisconnectCode) -> None:
        """See Connection."""
        if not self.answered.done():
            self.answered.set_result(code.code)

    def unsent(self) -> int:
        """See Connection."""
        return 0

    def unacknowledged(self) -> int:
        """See Connection."""
        return 0

    def pause_reading(self) -> None:
        """See Connection."""

    def resume_reading(self) -> None:
        """See Connection."""


@dataclass(frozen=True, slots=True)
class ProbeIdentity:
    """Ways for a probe to connect. `keys` verify tokens; with `tokenless` clients without a token may be admitted.

    `audience` and `issuer` are those that tokens must have.
    """

    keys: Callable[[], Sequence[TokenKey]]
    tokenless: bool
    audience: str | None = None
    issuer: str | None = None

    def tokens(self) -> Iterator[str]:
        """Yield the tokens to connect with, "" for none: there is at least one.

        A token can be made with the secret of an HS* key only; the private key of an identity provider is elsewhere.
        """
        secret = next((key for key in self.keys() if key.algorithm in DIGESTS), None)
        if self.tokenless or secret is None:
            yield ""
        if secret is not None:
            claims: dict[str, object] = {"sub": USER, "exp": int(time.time()) + TOKEN_SECONDS}
            claims |= {"aud": self.audience} if self.audience else {}
            claims |= {"iss": self.issuer} if self.issuer else {}
            headers = {"kid": secret.key_id} if secret.key_id else None
            yield jwt.encode(claims, secret.text, algorithm=secret.algorithm, headers=headers)


class SelfProbe:
    """Probe of one worker; `last` is its latest result, None before the first."""

    def __init__(self, node: Node, identity: ProbeIdentity) -> None:
        self._node = node
        self._identity = identity
        self._running: asyncio.Task[None] | None = None
        self._last: tuple[float, ProbeResult] | None = None

    @property
    def last(self) -> ProbeResult | None:
        """The latest result with its age; None before the first one."""
        if self._last is None:
            return None
        ended_at, result = self._last
        return msgspec.structs.replace(result, age_seconds=round(self._node.clock() - ended_at, 1))

    def start(self) -> None:
        """Start a probe, unless one is running."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="probe")

    async def close(self) -> None:
        """End a running probe."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _run(self) -> None:
        """Connect in every way until one of them fails; a refusal by the backend's own code is its right."""
        for token in self._identity.tokens():
            result = await self._connect(token)
            self._last = (self._node.clock(), result)
            if result.code not in {"", OTHER}:
                return

    async def _connect(self, token: str) -> ProbeResult:
        connection = ProbeConnection()
        session = self._node.accept_probe(connection, CODEC, TRANSPORT)
        begun = self._node.clock()
        connect = {"id": 1, "connect": {"name": USER, **({"token": token} if token else {})}}
        session.on_text(msgspec.json.encode(connect), begun)
        try:
            code = await asyncio.wait_for(connection.answered, self._node.settings.connect_seconds)
            name = "" if code is None else str(code) if code in CATALOGUE else OTHER
        except TimeoutError:
            name = TIMED_OUT
        finally:
            session.on_closed()
        return ProbeResult(name, bool(token), round(self._node.clock() - begun, 3))
