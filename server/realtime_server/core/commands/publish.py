"""How a client publishes: the command publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_server import codes
from realtime_server.core.auth.permissions import may_publish
from realtime_server.core.model.commands import EmptyResult, PublishRequest
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.publication import binary_content_of, content_of
from realtime_server.core.ports.backend import Hook, Published

if TYPE_CHECKING:
    from realtime_server.core.sessions.session import Session

AS_IT_IS = Published()


async def publish(session: Session, request: PublishRequest) -> EmptyResult:
    """Publish; who it is goes with the publication.

    Raises CommandError, DisconnectRequestedError or BackplaneError.
    """
    hub = session.node.hub
    options = hub.require(request.channel)
    if request.type or request.key or request.removed:
        raise CommandError(codes.NOT_AVAILABLE)
    data = bytes(request.data)
    if not data:
        raise CommandError(codes.BAD_REQUEST)
    subscription = session.subscriptions.get(request.channel)
    claims, subscribed = session.claims, subscription is not None
    if claims is None or not may_publish(claims, request.channel, options, subscribed=subscribed):
        raise CommandError(codes.PERMISSION_DENIED)
    skip_history = False
    if session.node.backend.asks(Hook.PUBLISH, request.channel):
        changed = await session.node.backend.publish(session.caller(), request.channel, data) or AS_IT_IS
        data, skip_history = changed.data or data, changed.skip_history
    if len(data) > session.node.limits.reply_bytes:
        raise CommandError(codes.LIMIT_EXCEEDED)  # it would disconnect every subscriber
    info = session.client_info(subscription.info if subscription is not None else None)
    content = binary_content_of(data, info=info) if session.codec.binary else content_of(data, info=info)
    await hub.publish(request.channel, content, skip_history=skip_history)
    return EmptyResult("publish")
