"""Publications of clients, and their calls to the backend."""

from __future__ import annotations

from realtime_server import codes
from realtime_server.core.auth.permissions import may_publish
from realtime_server.core.channels.hub import Hub
from realtime_server.core.limits.limit import NodeLimits
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.publication import binary_content_of, content_of
from realtime_server.core.operations.reading import require_permission
from realtime_server.core.ports.backend import Backend, Hook, Published
from realtime_server.core.ports.tracing import Tracing
from realtime_server.core.sessions.session import Session

UNCHANGED = Published()


class Publishing:
    """Publisher on behalf of clients."""

    def __init__(self, hub: Hub, backend: Backend, limits: NodeLimits) -> None:
        self._hub = hub
        self._backend = backend
        self._limits = limits

    def require(self, channel: str) -> ChannelOptions:
        """Return the options of a channel. Raises CommandError UNKNOWN_CHANNEL."""
        return self._hub.require(channel)

    async def publish(
        self, session: Session, channel: str, data: bytes, *, binary: bool, granted: bool = False
    ) -> None:
        """Publish on behalf of a client, whose info goes with the publication.

        `data` is JSON, or arbitrary bytes if `binary`. `granted`: the configuration allows it, whatever the rules of
        the namespace are. Raises CommandError, DisconnectRequestedError or BackplaneError.
        """
        options = self._hub.require(channel)
        if not data:
            raise CommandError(codes.BAD_REQUEST)
        if not granted:
            require_permission(session, channel, options, may_publish)
        skip_history = False
        if self._backend.asks(Hook.PUBLISH, channel):
            changed = await self._backend.publish(session.caller(), channel, data) or UNCHANGED
            if not granted:
                require_permission(session, channel, options, may_publish)  # it may have been unsubscribed meanwhile
            data, skip_history = changed.data or data, changed.skip_history
        if len(data) > self._limits.reply_bytes:
            raise CommandError(codes.LIMIT_EXCEEDED)  # it would disconnect every subscriber
        subscription = session.subscriptions.get(channel)
        info = session.client_info(subscription.info if subscription is not None else None)
        content = binary_content_of(data, info=info) if binary else content_of(data, info=info)
        await self._hub.publish(channel, content, skip_history=skip_history)

    @property
    def calls_backend(self) -> bool:
        """True when the backend answers calls of clients."""
        return self._backend.asks(Hook.RPC)

    async def call(self, session: Session, method: str, data: bytes) -> bytes:
        """Have the backend answer a call. Raises CommandError or DisconnectRequestedError."""
        return await self._backend.rpc(session.caller(), method, data)


class TracedPublishing(Publishing):
    """Publisher on behalf of clients whose publications are traced: a class of its own, as TracedHub is."""

    def __init__(self, hub: Hub, backend: Backend, limits: NodeLimits, tracing: Tracing) -> None:
        super().__init__(hub, backend, limits)
        self._tracing = tracing

    async def publish(
        self, session: Session, channel: str, data: bytes, *, binary: bool, granted: bool = False
    ) -> None:
        """Publish within a span; see Publishing. A channel that does not exist has none: any client can name one."""
        self.require(channel)
        with self._tracing.client_publication(channel):
            await super().publish(session, channel, data, binary=binary, granted=granted)
