"""Slot map of a Redis Cluster: the primary of each slot.

See https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Mapping, Sequence

from redis.exceptions import ResponseError

from realtime_server.backplane.redis_link import Link, RedisConnection, Timing
from realtime_server.backplane.redis_reply import Reply, as_bytes, as_int, as_list
from realtime_server.backplane.redis_supervisor import LinkSupervisor
from realtime_server.backplane.redis_target import Address, EndpointReader, Mode
from realtime_server.core.model.errors import BackplaneError

UNKNOWN_HOSTS = frozenset({"", "?"})


class NodeTarget:
    """Target of a link to one node of a cluster, or to a standalone Redis."""

    def __init__(self, reader: EndpointReader, timing: Timing, mode: Mode, address: Address | None = None) -> None:
        self._reader = reader
        self._timing = timing
        self._mode = mode
        self._address = address

    async def connection(self) -> RedisConnection:
        """Return a connection, not connected yet. Raises BackplaneError when the settings cannot be used."""
        endpoint = self._reader.read()
        if endpoint.mode is not self._mode:
            raise BackplaneError(f"the URL of Redis is not one of {self._mode} any more: restart this server")
        return endpoint.connection(self._address or next(iter(endpoint.addresses), None), self._timing)

    async def check(self, link: Link) -> None:
        """Accept any node: the first write fails on one that is not a primary."""


class SlotTarget:
    """Target of a link to the primary of a slot, which `locate` returns or raises BackplaneError."""

    def __init__(self, reader: EndpointReader, timing: Timing, locate: Callable[[], Address]) -> None:
        self._reader = reader
        self._timing = timing
        self._locate = locate
        self._address: Address | None = None

    @property
    def has_moved(self) -> bool:
        """True when the slot is known to have another primary than at the last connect."""
        try:
            return self._locate() != self._address
        except BackplaneError:
            return False

    async def connection(self) -> RedisConnection:
        """Return a connection, not connected yet. Raises BackplaneError when the slot has no primary."""
        self._address = self._locate()
        return await NodeTarget(self._reader, self._timing, Mode.CLUSTER, self._address).connection()

    async def check(self, link: Link) -> None:
        """Accept any node, as the map of the slots says who is primary."""


class SlotMap:
    """Primary of each slot, as one node sees it."""

    def __init__(self, ranges: Sequence[tuple[int, int, Address]]) -> None:
        self._ranges = sorted(ranges)
        self._firsts = [first for first, _, _ in self._ranges]

    def primary_of(self, slot: int) -> Address:
        """Return the primary of a slot. Raises BackplaneError when there is none."""
        index = bisect.bisect_right(self._firsts, slot) - 1
        if index < 0 or self._ranges[index][1] < slot:
            raise BackplaneError(f"no primary of the Redis Cluster has slot {slot}")
        return self._ranges[index][2]


class ClusterMap:
    """Reader of the slot map: asks linked nodes, then the nodes of the last map, then those of the settings."""

    def __init__(self, reader: EndpointReader, timing: Timing) -> None:
        self._reader = reader
        self._timing = timing
        self._known: dict[Address, None] = {}

    async def read(self, linked: Mapping[Address, LinkSupervisor]) -> SlotMap:
        """Return the map of the first node that answers and reports a working cluster.

        Raises BackplaneError when there is none.
        """
        reasons = []
        for address in random.sample(list(linked), len(linked)):
            if linked[address].usable:
                try:
                    return await self._ask(linked[address].link, address)
                except (BackplaneError, ResponseError) as error:
                    reasons.append(f"{address[0]}:{address[1]}: {error}")
        for address in dict.fromkeys([*self._known, *self._reader.read().addresses]):
            try:
                return await self._ask_anew(address)
            except (BackplaneError, ResponseError) as error:
                reasons.append(f"{address[0]}:{address[1]}: {error}")
        raise BackplaneError(f"no node of the Redis Cluster tells where the slots are: {'; '.join(reasons)}")

    async def _ask_anew(self, address: Address) -> SlotMap:
        link = await Link.open(NodeTarget(self._reader, self._timing, Mode.CLUSTER, address), self._timing)
        try:
            return await self._ask(link, address)
        finally:
            await link.close()

    async def _ask(self, link: Link, asked: Address) -> SlotMap:
        state = as_bytes(await link.call(b"CLUSTER", b"INFO"))
        if b"cluster_state:ok" not in state:
            raise BackplaneError("it sees a cluster that is not whole")
        rows = [as_list(row) for row in as_list(await link.call(b"CLUSTER", b"SLOTS"))]
        self._known = dict.fromkeys(_address(node, asked) for row in rows for node in row[2:])
        return SlotMap([(as_int(row[0]), as_int(row[1]), _address(row[2], asked)) for row in rows])


def _address(node: Reply, asked: Address) -> Address:
    """Return host and port of a node; a node that does not know its own host has that of the address asked."""
    host, port = as_list(node)[:2]
    name = "" if host is None else as_bytes(host).decode()
    return asked[0] if name in UNKNOWN_HOSTS else name, as_int(port)
