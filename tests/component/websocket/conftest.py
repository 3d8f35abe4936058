"""Echo servers, for the tests of one module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.component.websocket.framing_cases import LIMIT
from tests.kit.echo_server import running_echo_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo_port() -> AsyncIterator[int]:
    """Start an echo server without compression, the default."""
    async with running_echo_server(LIMIT) as port:
        yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compressing_port() -> AsyncIterator[int]:
    """Start an echo server that compresses all messages that become smaller."""
    async with running_echo_server(LIMIT, "--compress") as port:
        yield port
