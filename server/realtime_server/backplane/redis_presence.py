"""Presence in Redis. Expiry goes by the clock of Redis, which all servers share."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_reply import Reply, Word, as_bytes, as_int, as_list, milliseconds
from realtime_server.backplane.redis_router import Router
from realtime_server.backplane.redis_scripts import Script
from realtime_server.core.model.values import ClientInfo, PresenceStats
from realtime_server.core.ports.backplane import Renewal

ABSENT = b"-"
KINDS = ("expiry", "clients", "users", "announced", "departed")
"""Kinds of a channel's keys, in the order of the scripts."""


class RedisPresence:
    """Presence over Redis: implements PresenceStore while the broker is started."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def add(
        self, channel: str, client: str, info: ClientInfo, ttl_seconds: float, *, announced: bool = False
    ) -> None:
        """Add or renew a connection."""
        ttl = milliseconds(ttl_seconds)
        await self._run(channel, scripts.PRESENCE_ADD, ttl, client, info.user, encode_info(info), int(announced))

    async def renew(
        self, channel: str, clients: Sequence[ClientInfo], ttl_seconds: float, announced: Container[str] = ()
    ) -> Renewal:
        """Add or renew many connections by one script; see PresenceStore."""
        words: list[Word] = [milliseconds(ttl_seconds)]
        for info in clients:
            words += (info.client, info.user, encode_info(info), int(info.client in announced))
        departed, returned = as_list(await self._run(channel, scripts.PRESENCE_ADD, *words))
        return Renewal(tuple(_infos(departed)), tuple(as_bytes(client).decode() for client in as_list(returned)))

    async def publish_leaves(self, channel: str, leaves: Mapping[str, bytes]) -> None:
        """Publish the leaves of connections that have not come back, one atomic step each; see PresenceStore."""
        names = self._router.keys.channel(channel)
        words: list[Word] = [self._router.pubsub.publish, names.messages]
        for client, encoded in leaves.items():
            words += (client, b"\n" + encoded)
        await self._run(channel, scripts.PRESENCE_LEAVES, *words)

    async def remove(self, channel: str, client: str) -> bool:
        """Remove a connection; see PresenceStore."""
        return bool(as_int(await self._run(channel, scripts.PRESENCE_REMOVE, client)))

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return all connections that have not expired, by client id."""
        return {info.client: info for info in _infos(await self._run(channel, scripts.PRESENCE_MEMBERS))}

    async def stats(self, channel: str) -> PresenceStats:
        """Count connections and distinct users; the cost does not depend on their number."""
        clients, users = as_list(await self._run(channel, scripts.PRESENCE_STATS))
        return PresenceStats(as_int(clients), as_int(users))

    async def _run(self, channel: str, script: Script, *arguments: Word) -> Reply:
        keys = self._router.keys
        names = [keys.of(channel, "presence", kind) for kind in KINDS]
        return await self._router.run(self._router.channel_partition(channel), script, names, *arguments)


def _infos(reply: Reply) -> Iterator[ClientInfo]:
    """Return the infos in a flat list of client, info, client, info and so on."""
    words = iter(as_bytes(word) for word in as_list(reply))
    return (decode_info(client.decode(), info) for client, info in zip(words, words, strict=True))


def encode_info(info: ClientInfo) -> bytes:
    """Encode an info without the client's id: netstrings of user, connection info and channel info; `-` for None."""
    return b"".join(map(_netstring, (info.user.encode(), info.connection_info, info.channel_info)))


def decode_info(client: str, encoded: bytes) -> ClientInfo:
    """Decode the result of `encode_info`."""
    parts: list[bytes | None] = []
    while encoded:
        if encoded.startswith(ABSENT):
            parts.append(None)
            encoded = encoded[1:]
        else:
            length, _, rest = encoded.partition(b":")
            parts.append(rest[: int(length)])
            encoded = rest[int(length) :]
    user, connection_info, channel_info = parts
    return ClientInfo((user or b"").decode(), client, connection_info, channel_info)


def _netstring(value: bytes | None) -> bytes:
    return ABSENT if value is None else b"%d:%b" % (len(value), value)
