"""Tests of the execution of commands from queues, on a real node with the memory backplane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from realtime_server import codes
from realtime_server.admin.queued_commands import QueuedCommands
from realtime_server.app import make_node
from realtime_server.codes import ErrorCode
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.model.values import HistoryQuery, StreamPosition
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Message
from realtime_server.core.ports.message_broker import ApiCommand, PublishCommand, QueuedCommand
from realtime_server.core.server_api import ServerApi
from realtime_server.namespace_settings import History, Namespace
from realtime_server.settings import Settings

CHAT = Namespace(name="chat", history=History(size=10, ttl_seconds=60))


@pytest_asyncio.fixture
async def node() -> AsyncIterator[Node]:
    """A node with a namespace."""
    made = make_node(Settings(namespaces=(CHAT,)))
    await made.start()
    yield made
    await made.stop()


async def published(node: Node, channel: str) -> int:
    """Return the number of publications in a channel."""
    return (await node.hub.history(channel, HistoryQuery(limit=0))).position.offset


async def test_a_message_is_published_in_its_channels_once(node: Node) -> None:
    """A second time with the same id it is not."""
    commands = QueuedCommands(ServerApi(node), 1000)
    command = PublishCommand(("chat:1", "chat:2"), Message(b"1", idempotency_key="m1"))
    await commands.execute(command)
    await commands.execute(command)
    await commands.execute(PublishCommand(("chat:1",), Message(b"2", idempotency_key="m2")))
    assert [await published(node, channel) for channel in ("chat:1", "chat:2")] == [2, 1]


async def test_a_command_is_a_call_of_the_server_api(node: Node) -> None:
    commands = QueuedCommands(ServerApi(node), 1000)
    await commands.execute(ApiCommand("publish", b'{"channel":"chat:1","data":1}'))
    await commands.execute(ApiCommand("broadcast", b'{"channels":["chat:1","chat:2"],"data":1}'))
    assert [await published(node, channel) for channel in ("chat:1", "chat:2")] == [2, 1]


@pytest.mark.parametrize(
    ("command", "error", "why"),
    [
        (ApiCommand("drop", b"{}"), codes.METHOD_NOT_FOUND, "no method of this name"),
        (ApiCommand("publish", b"{}"), codes.BAD_REQUEST, "channel"),
        (ApiCommand("publish", b'{"channel":"chat:1"}'), codes.BAD_REQUEST, "data or b64data is needed"),
        (ApiCommand("publish", b'{"channel":"other:1","data":1}'), codes.UNKNOWN_CHANNEL, ""),
        (ApiCommand("broadcast", b'{"channels":["chat:1","other:1"],"data":1}'), codes.UNKNOWN_CHANNEL, "unknown"),
        (PublishCommand(("other:1",), Message(b"1")), codes.UNKNOWN_CHANNEL, ""),
        (PublishCommand(("chat:1", "other:1"), Message(b"1")), codes.UNKNOWN_CHANNEL, "other:1: "),
    ],
)
async def test_what_cannot_be_carried_out_says_why(
    node: Node, command: QueuedCommand, error: ErrorCode, why: str
) -> None:
    with pytest.raises(CommandError) as caught:
        await QueuedCommands(ServerApi(node), 1000).execute(command)
    assert caught.value.error is error
    assert why in caught.value.why


class AwayApi(ServerApi):
    """Server API whose backplane is away for one channel."""

    async def publish(self, channel: str, message: Message) -> StreamPosition | None:
        """Fail for one channel."""
        await asyncio.sleep(0)
        if channel == "chat:2":
            raise BackplaneError("away")
        return await super().publish(channel, message)


@pytest.mark.parametrize(
    "command",
    [
        PublishCommand(("other:1", "chat:2"), Message(b"1")),
        ApiCommand("broadcast", b'{"channels":["other:1","chat:2"],"data":1}'),
    ],
)
async def test_what_passes_counts_more_than_what_does_not(node: Node, command: QueuedCommand) -> None:
    """The message is tried again, so that it is in all channels that there are before it is given up."""
    with pytest.raises(BackplaneError):
        await QueuedCommands(AwayApi(node), 1000).execute(command)
