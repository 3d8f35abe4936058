"""Acceptor of sockets that begin with the PROXY protocol, TLS, or both, in this order.

Plain sockets are accepted by the event loop itself, which is faster.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from realtime_server.core.metrics.counters import Counters
from realtime_server.transports.addresses import plain_address
from realtime_server.transports.forwarded import TrustedProxies
from realtime_server.transports.proxy_protocol import MAX_HEADER_BYTES, ProxyProtocolError, parse_header
from realtime_server.transports.sockets import Sockets
from realtime_server.transports.tls import Certificate

logger = structlog.get_logger()

ACCEPTS_PER_TURN = 64
"""Upper bound of accepts per loop iteration, for fairness to open connections."""
PAUSE_SECONDS = 1.0
"""Pause in accepting after the process has run out of file descriptors."""
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
Factory = Callable[[str], asyncio.Protocol]
"""Factory of the protocol of a socket, for the client's address; the protocol calls `sockets.leave` when it is lost."""


@dataclass(frozen=True, slots=True)
class AcceptorSettings:
    """Settings of an acceptor. `seconds`: time limit of the PROXY header, and again of the TLS handshake.

    `proxies`: the peers that send a PROXY header, None for no PROXY protocol.
    """

    backlog: int
    seconds: float
    proxies: TrustedProxies | None = None


class Acceptor:
    """Acceptor on one bound socket."""

    def __init__(
        self,
        bound: socket.socket,
        make: Factory,
        settings: AcceptorSettings,
        sockets: Sockets,
        counters: Counters,
        certificate: Certificate | None = None,
    ) -> None:
        self._bound = bound
        self._make = make
        self._settings = settings
        self._sockets = sockets
        self._counters = counters
        self._certificate = certificate
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self) -> None:
        """Listen and start accepting."""
        self._bound.listen(self._settings.backlog)
        self._loop.add_reader(self._bound, self._accept)

    def close(self) -> None:
        """Stop accepting and close the socket; accepted sockets stay open. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._bound)
        self._accept_all()
        self._bound.close()

    @property
    def over(self) -> bool:
        """True when it is closed and no accepted socket is still in its PROXY or TLS phase."""
        return self._closed and not self._beginning

    async def stop(self) -> None:
        """Close it, and cancel sockets that are still in their PROXY or TLS phase."""
        self.close()
        for task in self._beginning:
            task.cancel()
        await asyncio.gather(*self._beginning, return_exceptions=True)

    def _accept_all(self) -> None:
        """Accept everything in the kernel's queue, which closing the socket would reset."""
        while self._accept():
            pass

    def _accept(self) -> bool:
        """Accept a bounded number of sockets; return True when there may be more."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                accepted, address = self._bound.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    continue  # an error of the socket that was to be accepted (accept(2)), which is gone
                self._wait(error)
                return False
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = plain_address(str(address[0])) or ""
            if self._sockets.enter():
                task = self._loop.create_task(self._begin(accepted, peer), name=f"accept-{peer}")
                self._beginning.add(task)
                task.add_done_callback(self._beginning.discard)
            else:
                self._give_up(accepted, "socket_limit")
        return True

    def _wait(self, error: OSError) -> None:
        """Pause accepting, because without file descriptors every iteration of the loop would fail in the same way."""
        logger.error("sockets cannot be accepted, trying again after a pause", error=str(error), pause=PAUSE_SECONDS)
        self._loop.remove_reader(self._bound)
        if not self._closed:
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._loop.add_reader, self._bound, self._accept)

    def _give_up(self, accepted: socket.socket, reason: str) -> None:
        self._counters.count_rejected_handshake(reason)
        accepted.close()
        self._sockets.leave()

    async def _begin(self, accepted: socket.socket, peer: str) -> None:
        """Read the PROXY header if one is due, then start TLS or the protocol."""
        seconds = self._settings.seconds
        try:
            proxies = self._settings.proxies
            if proxies is not None and peer in proxies:
                peer = await _source(accepted, seconds) or peer
        except TimeoutError:
            self._give_up(accepted, "timeout")
            return
        except (ProxyProtocolError, OSError):
            self._give_up(accepted, "proxy_protocol")
            return
        except asyncio.CancelledError:
            accepted.close()
            raise
        await self._connect(accepted, peer)

    async def _connect(self, accepted: socket.socket, peer: str) -> None:
        context = self._certificate.context if self._certificate is not None else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(peer),
                accepted,
                ssl=context,
                ssl_handshake_timeout=self._settings.seconds if context is not None else None,
            )
        except OSError:  # also ssl.SSLError, and what is raised when the client has gone or took too long
            self._give_up(accepted, "tls")


async def _source(accepted: socket.socket, seconds: float) -> str | None:
    """Return the client's address from the PROXY header, which is consumed without any byte after it.

    Raises ProxyProtocolError, TimeoutError, or OSError.
    """
    read = b""
    async with asyncio.timeout(seconds):
        while True:
            await _readable(accepted)
            seen = accepted.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
            if not seen:
                raise ProxyProtocolError("the socket was closed before the end of the header")
            header = parse_header(read + seen)
            if header is not None:
                accepted.recv(header.size - len(read))
                return header.source
            read += accepted.recv(len(seen))


async def _readable(accepted: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def on_readable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(accepted, on_readable)
    try:
        await ready
    finally:
        loop.remove_reader(accepted)
