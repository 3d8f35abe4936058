"""What the user's backend may ask for: implements RealtimeApi on a node."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core import control
from realtime_server.core.node import Node
from realtime_server.core.ports import NodeInfo
from realtime_server.core.publication import content_of
from realtime_server.core.values import ClientInfo, HistoryPage, HistoryQuery, PresenceStats, StreamPosition


class ServerApi:
    """Implements RealtimeApi. What is about connections reaches all servers, by the backplane's control channel."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hub = node.hub

    async def publish(
        self, channel: str, data: bytes, *, skip_history: bool = False, tags: Mapping[str, str] | None = None
    ) -> StreamPosition | None:
        """See RealtimeApi."""
        return await self._hub.publish(channel, content_of(data, tags=tags), skip_history=skip_history)

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

    async def disconnect(self, user: str, *, client: str = "", code: DisconnectCode | None = None) -> None:
        """See RealtimeApi."""
        told = code or codes.FORCE_DISCONNECT
        await self._tell(control.Disconnect(user, client, told.code, told.reason))

    async def unsubscribe(self, user: str, channel: str, *, client: str = "") -> None:
        """See RealtimeApi."""
        self._hub.require(channel)
        await self._tell(control.Unsubscribe(user, client, channel))

    async def info(self) -> tuple[NodeInfo, ...]:
        """See RealtimeApi."""
        return self._node.workers()

    async def _tell(self, message: control.Message) -> None:
        await self._node.broker.publish_control(control.encode(message))
