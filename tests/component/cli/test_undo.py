"""`rollout undo` on a local platform: the announced revision is the resulting one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.kit.deadline import eventually
from tests.kit.document import object_at, parse, text_at
from tests.kit.realtime_command import RealtimeUp, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLUSTER = """\
apiVersion: realtime.dev/v1alpha1
kind: RealtimeCluster
metadata: {name: chat}
spec:
  replicas: 1
  namespaces: [{name: chat}]
  rollout: {drain: {settle: 1s, connectionsPerSecond: 40}}
"""
CHANGED = """\
apiVersion: realtime.dev/v1alpha1
kind: RealtimeCluster
metadata: {name: chat}
spec:
  replicas: 2
  namespaces: [{name: chat}]
  hooks: {rpc: {url: "http://127.0.0.1:9/rpc"}}
  rollout: {drain: {settle: 2s, timeout: 2m, connectionsPerSecond: 80}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up() -> AsyncIterator[RealtimeUp]:
    """Start a platform for the tests of this module."""
    async with running(CLUSTER) as started:
        yield started


async def current(up: RealtimeUp, *, other_than: str = "") -> str:
    """Wait until the wanted revision, other than a former one, serves completely, and return it."""

    def is_settled(status: str) -> bool:
        now = parse(status)
        return now["currentRevision"] == now["targetRevision"] != other_than and "rollout" not in now

    status = await eventually(lambda: up.answer("status", "-o", "json"), is_settled, what="a revision", within=30)
    return text_at(parse(status), "currentRevision")


async def test_there_is_nothing_to_go_back_to_at_first(up: RealtimeUp) -> None:
    """The message says so, the exit code is 2, and nothing is patched."""
    first = await current(up)
    for arguments, words in (
        ((), "there is nothing to go back to: all revisions in the history have the present spec"),
        (("--to", first), f"there is nothing to go back to: the spec is already that of revision {first}"),
        (("--to", "nothing"), "has no revision nothing in its history"),
    ):
        refused = await up.ask("rollout", "undo", *arguments)
        assert (refused.code, refused.out) == (2, "")
        assert words in " ".join(refused.stderr.split())
    assert await current(up) == first


async def test_hooks_and_the_drains_times_are_undone(up: RealtimeUp) -> None:
    """The announced revision is the resulting one; the number of servers and the pace stay."""
    first = await current(up)
    up.file.write_text(CHANGED)
    second = await current(up, other_than=first)
    assert await up.answer("rollout", "undo") == f"chat: goes back to revision {first}\n"
    assert await current(up, other_than=second) == first
    spec = object_at(parse(await up.answer("get", "chat", "-o", "json")), "spec")
    assert "hooks" not in spec
    assert spec["rollout"] == {"drain": {"settle": "1s", "connectionsPerSecond": 80}}
    assert spec["replicas"] == 2
    assert await up.answer("rollout", "undo") == f"chat: goes back to revision {second}\n", "twice is forth again"
    assert await current(up, other_than=first) == second
    spec = object_at(parse(await up.answer("get", "chat", "-o", "json")), "spec")
    assert spec["hooks"] == {"rpc": {"url": "http://127.0.0.1:9/rpc"}}
    history = json.loads(await up.answer("rollout", "history", "-o", "json"))
    assert [entry["revision"] for entry in history] == [second, first]
