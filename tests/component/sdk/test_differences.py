"""Delta compression with both SDKs and both encodings."""

from __future__ import annotations

import json
import random
import subprocess
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from centrifuge import codecs, fossil

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_server.core.channels.delta import patch
from tests.component.sdk.conftest import Sdk
from tests.kit.clients import Channel, StockClients, all_subscribed
from tests.kit.document import whole_at
from tests.kit.redis_process import RedisProcess
from tests.kit.sdk import PROGRAM
from tests.kit.server_process import ServerProcess

KEPT: JsonObject = {"size": 1000, "ttl_seconds": 300}
NAMESPACES: list[JsonValue] = [
    {"name": "board", "delta": True, "history": KEPT, "recovery": True, "publish": "subscribers"},
    {"name": "live", "delta": True, "publish": "subscribers"},
    {"name": "joined", "delta": True, "history": KEPT, "recovery": True, "write_delay_seconds": 0.02},
    {"name": "whole", "history": KEPT, "recovery": True, "publish": "subscribers"},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server whose namespaces allow deltas, except one."""
    async with ServerProcess("differences", redis, namespaces=NAMESPACES) as process:
        yield process


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the lengths of the patches that the Python SDK applies."""
    lengths: list[int] = []

    def apply(source: bytes, patch: bytes) -> bytes:
        lengths.append(len(patch))
        made: bytes = fossil.apply_delta(source, patch)
        return made

    monkeypatch.setattr(codecs, "apply_delta", apply)
    return lengths


async def patches(sdk: Sdk, clients: StockClients, channel: str, applied: list[int], client: int = 0) -> int:
    """Return the number of patches that a client has applied."""
    if not sdk.name.startswith("javascript"):
        return len(applied)
    return whole_at(await clients.call(client, "delta_stats", channel=channel), "numDeltaPayloads")


def board(turn: int) -> JsonObject:
    """Return a document that changes a little with each turn and has multi-byte characters."""
    chance = random.Random(7)
    cells: list[JsonValue] = [f"{chance.choice('♔♕♖♗♘♙')} {number} \U0001f600" for number in range(100)]
    cells[turn % 100] = f"moved by {turn} \u2603"
    return {"cells": cells, "turn": turn}


@pytest.mark.parametrize("namespace", ["board", "live", "joined"])
async def test_every_publication_is_shown_whole(
    sdk: Sdk, server: ServerProcess, applied: list[int], namespace: str
) -> None:
    """All publications but the first arrive as patches; an unchanged document has the shortest one."""
    channel = Channel(f"{namespace}:{uuid.uuid4()}", recoverable=namespace != "live", delta=True)
    wanted = [board(turn) for turn in (0, 1, 1, 2, 50, 99)]
    async with sdk(server.url, channels=[channel]) as clients, server.api() as api:
        await all_subscribed(clients)
        for document in wanted:
            await api.call("publish", channel=channel.name, data=document)
        await clients.record.wait(lambda r: len(r.publications()) == len(wanted), what="all publications")
        assert [publication.data for publication in clients.record.publications()] == wanted
        assert await patches(sdk, clients, channel.name, applied) == len(wanted) - 1


async def test_a_recovery_is_whole_and_differences_go_on_from_it(
    sdk: Sdk, server: ServerProcess, applied: list[int]
) -> None:
    """Recovered publications are complete, and later ones are applied correctly."""
    channel = Channel(f"board:{uuid.uuid4()}", recoverable=True, delta=True)
    async with sdk(server.url, channels=[channel]) as clients, server.api() as api:
        await all_subscribed(clients)
        await api.publish(channel.name, board(0))
        await api.publish(channel.name, board(1))
        await clients.record.wait(lambda r: len(r.publications()) == 2, what="two publications")
        await clients.call(0, "disconnect")
        await clients.record.wait(lambda r: not r.connected, what="disconnected")
        for turn in (2, 3, 4):
            await api.publish(channel.name, board(turn))
        await clients.call(0, "connect")
        await all_subscribed(clients)
        assert clients.record.recoveries()[0].recovered
        for turn in (5, 6, 7):
            await api.publish(channel.name, board(turn))
        await clients.record.wait(lambda r: len(r.publications()) == 8, what="all publications")
        assert [publication.data for publication in clients.record.publications()] == [board(n) for n in range(8)]
        assert await patches(sdk, clients, channel.name, applied) >= 3


async def test_who_did_not_ask_gets_the_whole(sdk: Sdk, server: ServerProcess) -> None:
    """Subscribers with and without deltas share a channel, also when one joins later."""
    name = f"board:{uuid.uuid4()}"
    plain, fine = Channel(name, recoverable=True), Channel(name, recoverable=True, delta=True)
    async with (
        sdk(server.url, channels=[plain]) as others,
        sdk(server.url, channels=[fine]) as clients,
        server.api() as api,
    ):
        await all_subscribed(others)
        await all_subscribed(clients)
        await api.publish(name, board(0))
        await api.publish(name, board(1))
        async with sdk(server.url, channels=[fine]) as late:
            await all_subscribed(late)
            await api.publish(name, board(2))
            await api.publish(name, board(3))
            for group, turns in ((others, range(4)), (clients, range(4)), (late, range(2, 4))):
                assert await shown(group, len(turns)) == [board(turn) for turn in turns]


async def shown(clients: StockClients, count: int) -> list[JsonValue]:
    """Return a number of publications as the application gets them."""
    await clients.record.wait(lambda r: len(r.publications()) == count, what=f"{count} publications")
    return [publication.data for publication in clients.record.publications()]


async def test_a_namespace_without_differences_sends_none(sdk: Sdk, server: ServerProcess, applied: list[int]) -> None:
    """Asking for deltas is no error there."""
    channel = Channel(f"whole:{uuid.uuid4()}", recoverable=True, delta=True)
    async with sdk(server.url, channels=[channel]) as clients:
        await all_subscribed(clients)
        for turn in range(3):
            await clients.call(0, "publish", channel=channel.name, data=board(turn))
        await clients.record.wait(lambda r: len(r.publications()) == 3, what="three publications")
        assert [publication.data for publication in clients.record.publications()] == [board(n) for n in range(3)]
        assert await patches(sdk, clients, channel.name, applied) == 0


def test_the_decoder_of_the_javascript_sdk_agrees() -> None:
    """The SDK's decoder restores the target of every patch, for many kinds of texts and changes."""
    chance = random.Random(11)
    pairs = [changed(chance) for _ in range(500)]
    lines = []
    for source, target in pairs:
        made = patch(source.encode(), target.encode())
        if made is not None:
            lines.append(json.dumps([source, made.decode(), target]))
    assert len(lines) > 200
    program = PROGRAM.with_name("patches.mjs")
    ended = subprocess.run(["node", program], input="\n".join(lines), capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [f"{len(lines)}", "right"], ended.stdout


def changed(chance: random.Random) -> tuple[str, str]:
    """Return a document as JSON before and after a change."""
    document = [
        chance.choice(("\u2603 ", "plain ", '"quoted" ', "\U0001f600", "")) * chance.randrange(20) for _ in "a" * 9
    ]
    source = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    for _ in range(chance.randrange(4)):
        document[chance.randrange(9)] = chance.choice(document) + str(chance.randrange(1000))
    if chance.random() < 0.2:
        chance.shuffle(document)
    return source, json.dumps(document, ensure_ascii=False)
