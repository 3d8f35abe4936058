"""One address of the backend: asked over HTTP, within a time, by so many at once, and left alone while it is down."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import aiohttp

from realtime_server.connect_errors import connect_error
from realtime_server.core.metrics.counters import LatencyHistogram
from realtime_server.hooks.breaker import CircuitBreaker
from realtime_server.hooks.signature import HEADER, sign

MAX_ANSWER_BYTES = 1_048_576
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""
WAITING_FACTOR = 10
"""So many times the calls that may run at once may wait; more are refused at once."""


REQUEST_TIMEOUT = 408
TOO_MANY_REQUESTS = 429


class BackendError(Exception):
    """There is no answer that could be followed; the text says why."""


class BackendDownError(BackendError):
    """The backend did not answer, or nobody waits for it any more."""


class BackendRefusedError(BackendError):
    """The backend answered, with a status or a length that stands for no answer to the question: it may mean no.

    `overloaded`: it asks to be left alone.
    """

    def __init__(self, why: str, *, overloaded: bool = False) -> None:
        super().__init__(why)
        self.overloaded = overloaded


class Outcome(StrEnum):
    """What became of a call."""

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
    """What is counted of one hook."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    seconds: LatencyHistogram = field(default_factory=lambda: LatencyHistogram(BUCKETS))
    in_flight: int = 0


class Endpoint:
    """`timeout` in seconds for a whole call, waiting for its turn included. `secret` is read for each call."""

    def __init__(
        self,
        url: str,
        session: Callable[[], aiohttp.ClientSession],
        *,
        timeout: float,
        concurrency: int,
        secret: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._session = session
        self.timeout = timeout
        self._turns = asyncio.Semaphore(concurrency)
        self._most = concurrency * (1 + WAITING_FACTOR)
        self._secret = secret
        self._clock = clock
        self._wall_clock = wall_clock
        self.breaker = CircuitBreaker()
        self.usage = Usage()

    async def call(self, body: bytes, headers: Mapping[str, str], origin: str = "") -> bytes:
        """Post JSON and return the answer's body; `headers` are legal HTTP. Raises a BackendError.

        `origin` names whom the call is made for, see CircuitBreaker.
        """
        if self.usage.in_flight >= self._most:
            raise self._down(Outcome.CROWDED, "too many calls wait for the backend")
        if not self.breaker.allows(self._clock(), origin):
            raise self._down(Outcome.BREAKER, "the backend did not answer lately")
        began = self._clock()
        self.usage.in_flight += 1
        try:
            answer = await self._post_in_turn(body, headers, origin)
        finally:
            self.usage.in_flight -= 1
            self.usage.seconds.observe(self._clock() - began)
        self.usage.outcomes[Outcome.OK] += 1
        return answer

    async def _post_in_turn(self, body: bytes, headers: Mapping[str, str], origin: str) -> bytes:
        """Post when it is this call's turn, within the timeout, and tell the breaker what became of it."""
        sent = False
        try:
            async with asyncio.timeout(self.timeout), self._turns:
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
            if not sent:  # others' calls take all turns: the backend has had no chance
                self.breaker.abandoned()
                raise self._down(Outcome.CROWDED, f"no turn within {self.timeout:g} s") from error
            self.breaker.failed(self._clock(), origin)
            raise self._down(Outcome.TIMEOUT, f"no answer within {self.timeout:g} s") from error
        except aiohttp.ClientConnectorError as error:
            self.breaker.failed(self._clock())  # nothing of any client has reached it
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

    def _refused(self, outcome: Outcome, why: str, *, overloaded: bool = False) -> BackendRefusedError:
        self.usage.outcomes[outcome] += 1
        return BackendRefusedError(why, overloaded=overloaded)

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        sent = {**headers, "Content-Type": "application/json"}
        secret = self._secret()
        if secret:
            sent[HEADER] = sign(body, secret, int(self._wall_clock()))
        async with self._session().post(self._url, data=body, headers=sent, allow_redirects=False) as response:
            status = response.status
            if status == REQUEST_TIMEOUT or status >= 500:
                raise self._down(Outcome.STATUS, f"the backend answered {status}")
            if not 200 <= status < 300:
                overloaded = status == TOO_MANY_REQUESTS
                raise self._refused(Outcome.REFUSED, f"the backend answered {status}", overloaded=overloaded)
            answer = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    raise self._refused(Outcome.TOO_LARGE, f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            return bytes(answer)
