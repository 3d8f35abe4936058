"""Server API of a node: implements RealtimeApi."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.control import messages as control
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.publication import binary_content_of, content_of
from realtime_server.core.model.values import ClientInfo, HistoryPage, HistoryQuery, PresenceStats, StreamPosition
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Connections, Message, NodeInfo, Revoking


class ServerApi:
    """Server API on a node. Calls about connections reach all servers by the backplane's control channel."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hub = node.hub

    async def publish(self, channel: str, message: Message) -> StreamPosition | None:
        """See RealtimeApi."""
        options = self._hub.require(channel)
        if message.version and (options.history is None or message.skip_history):
            raise CommandError(codes.NOT_AVAILABLE, "version: without history there is nothing to compare it with")
        make = binary_content_of if message.binary else content_of
        return await self._hub.publish(
            channel,
            make(message.data, tags=message.tags),
            skip_history=message.skip_history,
            idempotency_key=message.idempotency_key,
            version=message.version,
            version_epoch=message.version_epoch,
        )

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """See RealtimeApi."""
        return await self._hub.presence(channel)

    async def presence_stats(self, channel: str) -> PresenceStats:
        """See RealtimeApi."""
        return await self._hub.presence_stats(channel)

    async def history(self, channel: str, query: HistoryQuery) -> HistoryPage:
        """See RealtimeApi."""
        return await self._hub.history(channel, query)

    async def history_remove(self, channel: str) -> None:
        """See RealtimeApi."""
        await self._hub.history_remove(channel)

    async def subscribe(
        self, connections: Connections, channel: str, grant: Grant, *, since: StreamPosition | None = None
    ) -> None:
        """See RealtimeApi."""
        options = self._hub.options_of_subscription(channel, grant)
        if since is not None and not options.recovery:
            raise CommandError(codes.NOT_AVAILABLE, "recover_since: the subscription has no recovery")
        order = control.Subscribe(
            connections.user,
            _named(connections),
            channel,
            grant.info,
            grant.data,
            grant.expires_at,
            None if since is None else (since.offset, since.epoch),
            session=connections.session,
            override=grant.override,
        )
        await self._node.tell(order)

    async def unsubscribe(self, connections: Connections, channel: str) -> None:
        """See RealtimeApi."""
        self._hub.require(channel)
        order = control.Unsubscribe(connections.user, _named(connections), channel, session=connections.session)
        await self._node.tell(order)

    async def disconnect(
        self, connections: Connections, *, code: DisconnectCode | None = None, spared: Sequence[str] = ()
    ) -> None:
        """See RealtimeApi."""
        chosen = code or codes.FORCE_DISCONNECT
        if codes.is_json(chosen.reason):
            why = "disconnect.reason: is JSON, by which SDKs decide whether to come back, not by the code; use words"
            raise CommandError(codes.BAD_REQUEST, why)
        order = control.Disconnect(
            connections.user,
            _named(connections),
            chosen.code,
            chosen.reason or codes.default_reason(chosen.code),
            tuple(spared),
            session=connections.session,
        )
        await self._node.tell(order)

    async def send(self, connections: Connections, message: Message) -> None:
        """See RealtimeApi."""
        content = binary_content_of(message.data) if message.binary else content_of(message.data)
        order = control.Send(
            connections.user, _named(connections), content.data, content.binary, session=connections.session
        )
        await self._node.tell(order)

    async def refresh(
        self, connections: Connections, *, expires_at: float | None = None, expired: bool = False
    ) -> None:
        """See RealtimeApi."""
        order = control.Refresh(connections.user, _named(connections), expires_at, expired, session=connections.session)
        await self._node.tell(order)

    async def revoke(self, wanted: Revoking) -> float:
        """See RealtimeApi."""
        return await self._node.revoker.revoke(wanted)

    async def channels(self, pattern: str) -> Mapping[str, int]:
        """See RealtimeApi."""
        surveys = self._node.control.surveys
        ident, answer = surveys.open(worker.uid for worker in self._node.workers())
        await self._node.tell(control.AskChannels(ident, self._node.uid, pattern))
        return await surveys.result(ident, answer)

    async def info(self) -> tuple[NodeInfo, ...]:
        """See RealtimeApi."""
        return self._node.workers()


def _named(connections: Connections) -> str:
    """Return the name of one connection, "" for all of a user.

    Never empty when one is meant, since servers of earlier releases know no `session`.
    """
    return connections.client or connections.session
