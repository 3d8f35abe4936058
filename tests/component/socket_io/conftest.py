"""A server for clients of Socket.IO, and the stock clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject
from tests.kit.server_process import ServerProcess
from tests.kit.socket_io import JavaScriptSocketIo, PythonSocketIo, SocketIoClient, SocketIoSdk, SocketOptions

PROTOCOLS: JsonObject = {
    "socket_io": {
        "enabled": True,
        "namespaces": [
            {"name": "/"},
            {"name": "/chat", "channel_namespace": "chat"},
            {"name": "/own", "channel_namespace": "open", "client_events": []},
        ],
    }
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """Start a server for the tests of one module, which leave its state unchanged."""
    async with ServerProcess("socket-io", None, protocols=PROTOCOLS) as process:
        yield process


@dataclass(frozen=True)
class Sdk:
    """Stock client with some transports."""

    name: str
    make: SocketIoSdk
    transports: Sequence[str]

    def __call__(self, server: ServerProcess, *sockets: SocketOptions) -> SocketIoClient:
        """Return a client of a server."""
        return self.make(http_url(server), self.transports, sockets)


def http_url(server: ServerProcess) -> str:
    """Return the URL that clients of Socket.IO connect to."""
    return f"http://127.0.0.1:{server.client_port}"


SDKS = tuple(
    Sdk(f"{language}-{'-'.join(transports)}", make, transports)
    for language, make in (("javascript", JavaScriptSocketIo), ("python", PythonSocketIo))
    for transports in (["websocket"], ["polling"], ["polling", "websocket"])
)


@pytest.fixture(params=SDKS, ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Return each stock client in turn, with each transport."""
    found: Sdk = request.param
    return found
