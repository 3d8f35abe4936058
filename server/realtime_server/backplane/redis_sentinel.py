"""Discovery of the primary with Redis Sentinel, and notice of a failover.

See https://redis.io/docs/latest/develop/reference/sentinel-clients/.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import structlog
from redis.exceptions import ResponseError

from realtime_server.backplane.redis_link import Link, RedisConnection, Timing
from realtime_server.backplane.redis_reply import as_bytes, as_list
from realtime_server.backplane.redis_supervisor import LinkSupervisor
from realtime_server.backplane.redis_target import Address, Endpoint, EndpointReader, Mode
from realtime_server.core.model.errors import BackplaneError

logger = structlog.get_logger()

SWITCH = b"+switch-master"
GUARDED = b"min_slaves_good_slaves:"
"""Field of INFO that is present only where min-replicas-to-write and min-replicas-max-lag are set."""
ASK_SECONDS = 1.0
"""Time limit for the sentinels' answers; later ones are ignored."""


class _Sentinel:
    """Target of a link to one sentinel."""

    def __init__(self, endpoint: Endpoint, address: Address, timing: Timing) -> None:
        self._endpoint = endpoint
        self._address = address
        self._timing = timing

    async def connection(self) -> RedisConnection:
        """Return a connection to the sentinel, not connected yet."""
        return self._endpoint.sentinel_connection(self._address, self._timing)

    async def check(self, link: Link) -> None:
        """Accept any peer: a wrong one does not answer the query."""


class SentinelTarget:
    """Target of a link to the primary: all sentinels are asked at once, and the newest configuration wins."""

    def __init__(self, reader: EndpointReader, timing: Timing) -> None:
        self._reader = reader
        self._timing = timing
        self._has_advised = False
        self.primary = ""
        """Address of the primary that was found last, as HOST:PORT."""

    async def connection(self) -> RedisConnection:
        """Return a connection to the primary, not connected yet. Raises BackplaneError when no sentinel knows one."""
        endpoint = self._reader.read()
        if endpoint.mode is not Mode.SENTINEL:
            raise BackplaneError("the URL of Redis names no sentinels any more: restart this server")
        address = await self._primary(endpoint)
        self.primary = f"{address[0]}:{address[1]}"
        return endpoint.connection(address, self._timing)

    async def check(self, link: Link) -> None:
        """Check that the peer is a primary, as sentinels may not have noticed a failover yet. Raises BackplaneError."""
        role = as_bytes(as_list(await link.call(b"ROLE"))[0])
        if role != b"master":
            raise BackplaneError(f"the sentinels name a primary that is a {role.decode()}")
        if not self._has_advised:
            self._has_advised = True
            await self._advise(link)

    async def _advise(self, link: Link) -> None:
        """Log once a primary that confirms writes without a replica: a failover loses them."""
        try:
            information = as_bytes(await link.call(b"INFO", b"replication"))
        except ResponseError:  # it may not be asked
            return
        if GUARDED not in information:
            logger.warning(
                "the primary confirms writes that no replica has received, a failover would lose them",
                advice="set min-replicas-to-write and min-replicas-max-lag on all that can be primary",
            )

    async def _primary(self, endpoint: Endpoint) -> Address:
        answers = await asyncio.gather(*(self._ask(endpoint, address) for address in endpoint.addresses))
        known = [answer for answer in answers if answer is not None]
        if not known:
            raise BackplaneError(f"no sentinel knows a primary called {endpoint.primary_name!r}")
        _, address = max(known)
        return address

    async def _ask(self, endpoint: Endpoint, address: Address) -> tuple[int, Address] | None:
        """Return the epoch of a sentinel's configuration and its primary; None when it does not know one or answer."""
        try:
            async with asyncio.timeout(min(ASK_SECONDS, self._timing.connect)):
                link = await Link.open(_Sentinel(endpoint, address, self._timing), self._timing)
                try:
                    reply = await link.call(b"SENTINEL", b"MASTER", endpoint.primary_name)
                finally:
                    await link.close()
            words = iter(map(as_bytes, as_list(reply)))
            known = dict(zip(words, words, strict=True))
            return int(known[b"config-epoch"]), (known[b"ip"].decode(), int(known[b"port"]))
        except (TimeoutError, ResponseError, BackplaneError, KeyError, ValueError) as error:
            logger.debug("sentinel does not tell the primary", sentinel=address, reason=str(error))
            return None


class SentinelWatch:
    """Subscription to failover notices of one sentinel at a time; `on_switch` is called with the reason."""

    def __init__(self, reader: EndpointReader, timing: Timing, on_switch: Callable[[str], None]) -> None:
        self._reader = reader
        self._timing = timing
        self._on_switch = on_switch
        self._turn = itertools.count()
        self._supervisor = LinkSupervisor(
            "sentinel", self, timing,
            greet=self._listen, on_up=lambda: None, on_lost=lambda: None, on_message=self._take,
        )  # fmt: skip

    def start(self) -> None:
        """Connect in a task, retrying until a sentinel answers."""
        self._supervisor.begin()

    async def stop(self) -> None:
        """Close the link."""
        await self._supervisor.stop()

    async def connection(self) -> RedisConnection:
        """Return a connection to the next sentinel, not connected yet."""
        endpoint = self._reader.read()
        address = endpoint.addresses[next(self._turn) % len(endpoint.addresses)]
        return endpoint.sentinel_connection(address, self._timing)

    async def check(self, link: Link) -> None:
        """Accept any sentinel."""

    async def _listen(self, link: Link) -> None:
        await link.call(b"SUBSCRIBE", SWITCH)

    def _take(self, _name: bytes, message: bytes) -> None:
        """Handle a notice: NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT."""
        words = message.decode().split(" ")
        if words[0] == self._reader.read().primary_name:
            self._on_switch("the sentinels name another primary")
