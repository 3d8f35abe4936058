"""Commands publish and rpc."""

from __future__ import annotations

from msgspec import Raw

from realtime_server import codes
from realtime_server.core.model.commands import EmptyResult, PublishRequest, RpcRequest, RpcResult
from realtime_server.core.model.errors import CommandError
from realtime_server.core.operations.publishing import Publishing
from realtime_server.core.sessions.session import Session


async def publish(publishing: Publishing, session: Session, request: PublishRequest) -> EmptyResult:
    """Handle a publish command. Raises CommandError, DisconnectRequestedError or BackplaneError."""
    if request.type or request.key or request.removed:
        publishing.require(request.channel)
        raise CommandError(codes.NOT_AVAILABLE)
    await publishing.publish(session, request.channel, bytes(request.data), binary=session.codec.binary)
    return EmptyResult("publish")


async def rpc(publishing: Publishing, session: Session, request: RpcRequest) -> RpcResult:
    """Handle an rpc command with the backend's answer. Raises CommandError or DisconnectRequestedError."""
    return RpcResult(Raw(await publishing.call(session, request.method, bytes(request.data))))
