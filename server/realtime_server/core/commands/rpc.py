"""How a client asks the backend something: the command rpc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw

from realtime_server import codes
from realtime_server.core.model.commands import RpcRequest, RpcResult
from realtime_server.core.ports.backend import Hook

if TYPE_CHECKING:
    from realtime_server.core.sessions.session import Session


def refused(session: Session, command: int) -> bool:
    """Refuse a call if there is nobody to answer it; whether it was."""
    if session.node.backend.asks(Hook.RPC):
        return False
    session.fail(command, codes.NOT_AVAILABLE)
    return True


async def rpc(session: Session, request: RpcRequest) -> RpcResult:
    """Let the backend answer. Raises CommandError or DisconnectRequestedError."""
    return RpcResult(Raw(await session.node.backend.rpc(session.caller(), request.method, bytes(request.data))))
