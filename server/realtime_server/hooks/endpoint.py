"""One URL of the backend, called over HTTP with a timeout, a concurrency limit and a circuit breaker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import aiohttp

from realtime_server.connect_errors import connect_error
from realtime_server.core.metrics.counters import LatencyHistogram
from realtime_server.core.ports.tracing import NO_TRACING, Exchange, Trace, Tracing
from realtime_server.hooks.breaker import CircuitBreaker
from realtime_server.hooks.signature import HEADER, sign

MAX_ANSWER_BYTES = 1_048_576
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram in seconds."""
WAITING_FACTOR = 10
"""Calls that may wait, as a multiple of the concurrency; further calls are refused at once."""


REQUEST_TIMEOUT = 408
TOO_MANY_REQUESTS = 429
CONTENT_TYPE = "content-type"
JSON_TYPE = "application/json"
Sign: TypeAlias = Callable[[Mapping[str, str], bytes, str, int], str]
"""Signature of a request, from its headers, body, secret, and Unix time in seconds."""
TRACE_HEADERS = frozenset({"traceparent", "tracestate"})


class BackendError(Exception):
    """Failure to get a usable answer; the text says why."""


class BackendDownError(BackendError):
    """Failure because the backend did not answer, or because the call was not sent."""


class BackendRefusedError(BackendError):
    """Refusal by the backend: it answered, but with a status or a length that is no answer to the request.

    `overloaded`: the backend asked for fewer requests (429). `status` is that of the answer, 0 for a length.
    """

    def __init__(self, why: str, *, status: int = 0, overloaded: bool = False) -> None:
        super().__init__(why)
        self.status = status
        self.overloaded = overloaded


class Outcome(StrEnum):
    """Outcome of a call, as the metrics label it."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BROKEN = "broken"
    STATUS = "status"
    REFUSED = "refused"
    TOO_LARGE = "too-large"
    INVALID = "invalid"
    HEADERS = "invalid-headers"
    BREAKER = "breaker-open"
    CROWDED = "crowded"


@dataclass(slots=True)
class Usage:
    """Counters of one hook's calls."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    seconds: LatencyHistogram = field(default_factory=lambda: LatencyHistogram(BUCKETS))
    in_flight: int = 0


class Endpoint:
    """Client for one URL of the backend.

    `timeout` in seconds limits a whole call, waiting for a free slot included. `secret` is read for each call; ""
    leaves requests unsigned. `name` is that of the hook in traces. `sign_request` makes the signature.
    """

    def __init__(
        self,
        url: str,
        session: Callable[[], aiohttp.ClientSession],
        *,
        timeout: float,
        concurrency: int,
        secret: Callable[[], str],
        sign_request: Sign | None = None,
        name: str = "",
        tracing: Tracing = NO_TRACING,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._session = session
        self.timeout = timeout
        self._slots = asyncio.Semaphore(concurrency)
        self._most = concurrency * (1 + WAITING_FACTOR)
        self._secret = secret
        self._sign = sign_request or sign_body
        self._name = name
        self._tracing = tracing
        self._clock = clock
        self._wall_clock = wall_clock
        self.breaker = CircuitBreaker()
        self.usage = Usage()

    async def call(self, body: bytes, headers: Mapping[str, str], origin: str = "") -> bytes:
        """Post a body and return that of the answer. Raises BackendError.

        `headers` must be legal HTTP, in lower case; without `content-type` the body is JSON. `origin` names the client
        that the call is made for, see CircuitBreaker.
        """
        if self.usage.in_flight >= self._most:
            raise self._down(Outcome.CROWDED, "too many calls wait for the backend")
        if not self.breaker.allows(self._clock(), origin):
            raise self._down(Outcome.BREAKER, "the backend did not answer lately")
        began = self._clock()
        self.usage.in_flight += 1
        try:
            answer = await self._post_in_slot(body, headers, origin)
        finally:
            self.usage.in_flight -= 1
            self.usage.seconds.observe(self._clock() - began)
        self.usage.outcomes[Outcome.OK] += 1
        return answer

    async def _post_in_slot(self, body: bytes, headers: Mapping[str, str], origin: str) -> bytes:
        """Post once a slot is free, within the timeout, and record the outcome in the breaker."""
        sent = False
        try:
            async with asyncio.timeout(self.timeout), self._slots:
                sent = True
                answer = await self._post(body, headers)
        except BackendRefusedError as refused:
            if refused.overloaded:
                self.breaker.failed(self._clock(), origin)
            else:
                self.breaker.succeeded(self._clock())
            raise
        except BackendDownError:
            self.breaker.failed(self._clock(), origin)
            raise
        except TimeoutError as error:
            if not sent:  # other calls hold all slots: the backend had no chance to answer
                self.breaker.abandoned()
                raise self._down(Outcome.CROWDED, f"no turn within {self.timeout:g} s") from error
            self.breaker.failed(self._clock(), origin)
            raise self._down(Outcome.TIMEOUT, f"no answer within {self.timeout:g} s") from error
        except aiohttp.ClientConnectorError as error:
            self.breaker.failed(self._clock())  # no client's input has reached the backend
            raise self._down(Outcome.UNREACHABLE, connect_error(error)) from error
        except aiohttp.ClientError as error:
            self.breaker.failed(self._clock(), origin)
            raise self._down(Outcome.BROKEN, connect_error(error)) from error
        except BaseException:
            self.breaker.abandoned()
            raise
        self.breaker.succeeded(self._clock())
        return answer

    def _down(self, outcome: Outcome, why: str) -> BackendDownError:
        self.usage.outcomes[outcome] += 1
        return BackendDownError(why)

    def _refused(self, outcome: Outcome, why: str, status: int = 0) -> BackendRefusedError:
        self.usage.outcomes[outcome] += 1
        return BackendRefusedError(why, status=status, overloaded=status == TOO_MANY_REQUESTS)

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        with self._tracing.backend_request(self._name, self._url) as exchange:
            sent = {CONTENT_TYPE: JSON_TYPE, **_traced(headers, exchange.headers)}
            secret = self._secret()
            if secret:
                sent[HEADER] = self._sign(headers, body, secret, int(self._wall_clock()))
            return await self._send(body, sent, exchange)

    async def _send(self, body: bytes, headers: Mapping[str, str], exchange: Exchange) -> bytes:
        async with self._session().post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            status = response.status
            exchange.answered(status)
            if status == REQUEST_TIMEOUT or status >= 500:
                raise self._down(Outcome.STATUS, f"the backend answered {status}")
            if not 200 <= status < 300:
                raise self._refused(Outcome.REFUSED, f"the backend answered {status}", status)
            answer = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    raise self._refused(Outcome.TOO_LARGE, f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            return bytes(answer)


def sign_body(headers: Mapping[str, str], body: bytes, secret: str, unix_seconds: int) -> str:
    """Return the signature of a request's body alone."""
    del headers
    return sign(body, secret, unix_seconds)


def _traced(headers: Mapping[str, str], trace: Trace | None) -> Mapping[str, str]:
    """Return the headers with the server's own trace, which replaces one that a client has sent."""
    if trace is None:
        return headers
    return {**{name: value for name, value in headers.items() if name not in TRACE_HEADERS}, **trace}
