"""Two servers with one Redis, and both stock SDKs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from tests.kit.clients import Channel, ClientOptions, StockClients, Transport
from tests.kit.python_sdk import PythonClients
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.sdk import JavaScriptClients
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """Start a Redis for the tests of one module."""
    with running_redis() as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_server(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server for the tests of one module, which leave its state unchanged."""
    async with ServerProcess("shared-a", redis) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other_shared_server(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a second server with the same Redis."""
    async with ServerProcess("shared-b", redis) as process:
        yield process


@pytest.fixture
def room() -> Channel:
    """Return a recoverable channel that no other test uses."""
    return Channel(f"chat:{uuid.uuid4()}", recoverable=True)


@pytest.fixture
async def server(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start one server."""
    async with ServerProcess("server-a", redis) as process:
        yield process


@dataclass(frozen=True)
class Sdk:
    """Factory of clients of one stock SDK, with valid tokens of the users user-0, user-1, ..."""

    name: str
    language: Callable[[ClientOptions], StockClients]
    protobuf: bool = False
    transport: Transport = "websocket"

    def make(self, options: ClientOptions) -> StockClients:
        """Return clients with a test's own options."""
        return self.language(replace(options, protobuf=self.protobuf, transport=self.transport))

    def __call__(self, *endpoints: str, count: int = 1, channels: Sequence[Channel] = ()) -> StockClients:
        """Return `count` clients that connect when the block is entered and reconnect fast."""
        tokens = [connection_token(TOKEN_SECRET, f"user-{number}") for number in range(count)]
        return self.make(
            ClientOptions(
                endpoints=endpoints,
                count=count,
                channels=channels,
                tokens=tokens,
                min_reconnect_delay=0.05,
                max_reconnect_delay=0.5,
            )
        )


SDKS = (
    Sdk("javascript", JavaScriptClients),
    Sdk("python", PythonClients),
    Sdk("javascript-protobuf", JavaScriptClients, protobuf=True),
    Sdk("python-protobuf", PythonClients, protobuf=True),
    Sdk("javascript-sse", JavaScriptClients, transport="sse"),
    Sdk("javascript-http-stream", JavaScriptClients, transport="http_stream"),
    Sdk("javascript-http-stream-protobuf", JavaScriptClients, protobuf=True, transport="http_stream"),
)


@pytest.fixture(params=SDKS, ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Return each stock SDK in turn, with both encodings and every transport."""
    found: Sdk = request.param
    return found
