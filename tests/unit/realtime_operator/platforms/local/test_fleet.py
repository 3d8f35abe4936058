"""Tests of the server processes of ReplicaSets; short programs stand in for servers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import build_revision, build_secrets
from realtime_operator.errors import PlatformError
from realtime_operator.planning.model.world import ObjectKey
from realtime_operator.platforms.local import fleet as fleet_module
from realtime_operator.platforms.local.driver import SETTINGS
from realtime_operator.platforms.local.fleet import RETRY_SECONDS, Fleet, pause_seconds
from realtime_operator.platforms.local.object_store import ObjectStore
from realtime_operator.platforms.local.server import LocalServer
from realtime_operator.platforms.local.server_files import Ports, ServerFiles
from realtime_operator.platforms.local.state_folder import StateFolder
from tests.kit.deadline import eventually

SLEEP = ("/bin/sh", "-c", "exec sleep 60")
CRASH = ("/bin/sh", "-c", "echo no luck")
TELL = ("/bin/sh", "-c", 'echo "$REALTIME_SERVER_NAME $REALTIME_REVISION $REALTIME_CONFIG $TMPDIR"; exec sleep 60')
TWICE = (
    "/bin/sh",
    "-c",
    "trap 'n=$((n+1)); echo told $n; [ $n = 2 ] && exit' TERM; echo up; while true; do sleep 0.01; done",
)
DEAF = ("/bin/sh", "-c", "trap '' TERM; echo up; while true; do sleep 0.05; done")


@dataclass
class Machine:
    """A fleet, and the store with its ReplicaSets."""

    folder: StateFolder
    store: ObjectStore
    fleet: Fleet
    changes: asyncio.Event

    @property
    def names(self) -> list[str]:
        """Return the servers that are not terminating."""
        return [server.name for server in self.fleet.servers if not server.terminating]

    async def want(self, replicas: int, **spec: JsonValue) -> str:
        """Set the number of servers of a spec, and sync; return the name of the ReplicaSet."""
        cluster = RealtimeCluster.from_object({"metadata": {"name": "chat"}, "spec": spec})
        for template in build_secrets(cluster):
            self.store.ensure_secret(template.manifest, template.keys)
        revision = build_revision(cluster, SETTINGS.build)
        self.store.apply(revision.config_map)
        self.store.apply(revision.replica_set(replicas))
        await self.fleet.sync()
        return f"chat-{revision.name}"

    async def sync_until(self, fact: Callable[[], bool], what: str) -> None:
        """Sync repeatedly until the condition holds."""

        async def look() -> bool:
            await self.fleet.sync()
            return fact()

        await eventually(look, bool, what=what, within=5, every=0.01)

    async def all_say(self, word: str) -> None:
        """Wait until the last line of every server's log is `word`."""

        async def words() -> set[str]:
            return {server.process.last_log_line() for server in self.fleet.servers}

        await eventually(words, lambda found: found == {word}, what=f"all say {word}", within=5, every=0.01)


@pytest.fixture
async def machine(folder: StateFolder) -> AsyncIterator[Machine]:
    """A fleet of programs that sleep; all are killed afterwards."""
    store, changes = ObjectStore(folder.secrets), asyncio.Event()
    files = ServerFiles(folder, store, Ports(), None)
    made = Machine(folder, store, Fleet(folder, store, files, changes.set, SLEEP), changes)
    yield made
    made.fleet.kill()
    for server in made.fleet.servers:
        await server.process.ended()


async def test_as_many_run_as_are_wanted(machine: Machine) -> None:
    """Names are unique; a second sync changes nothing."""
    replica_set = await machine.want(3)
    names = machine.names
    assert len(set(names)) == 3
    assert all(name.startswith(f"{replica_set}-") for name in names)
    assert all(server.process.running for server in machine.fleet.servers)
    await machine.fleet.sync()
    assert machine.names == names
    first = machine.fleet.find(names[0])
    assert first is not None
    assert first.name == names[0]
    assert machine.fleet.find("none") is None


async def test_a_server_is_told_who_it_is(machine: Machine) -> None:
    """The environment has name, revision, configuration and the folder for sockets."""
    machine.fleet.command = TELL
    await machine.want(1)
    (server,) = machine.fleet.servers
    config = machine.folder.server(server.name) / "config.json"
    assert config.is_file()
    await machine.all_say(f"{server.name} {server.revision} {config} {machine.folder.run}")


async def test_a_server_has_the_variables_of_its_pod(machine: Machine) -> None:
    """Those with a value; the rest is of Kubernetes."""
    machine.fleet.command = ("/bin/sh", "-c", 'echo "$LOG_LEVEL $ZONE ${NODE-none}"; exec sleep 60')
    node: JsonValue = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    await machine.want(1, server={"logging": {"level": "Debug"}}, pod={"env": [{"name": "ZONE", "value": "a"}, node]})
    await machine.all_say("debug a none")


async def test_who_is_empty_then_who_never_answered_then_the_youngest_goes_first(machine: Machine) -> None:
    """The one with the lowest deletion cost is removed, as it has been drained."""
    replica_set = await machine.want(4)
    oldest, drained, silent, youngest = machine.fleet.servers
    for minutes, server in enumerate((youngest, silent, drained, oldest)):
        server.created_at -= timedelta(minutes=minutes)
        server.answered = server is not silent
    drained.deletion_cost = -1000
    left: list[list[LocalServer]] = []
    for replicas in (3, 2, 1):
        machine.store.scale(replica_set, replicas)
        await machine.fleet.sync()
        left.append([server for server in machine.fleet.servers if not server.terminating])
    assert left == [[oldest, silent, youngest], [oldest, youngest], [oldest]]


async def test_a_server_that_was_asked_to_end_is_not_replaced(machine: Machine) -> None:
    """The server is removed with its files when its process has ended, and the change is reported."""
    replica_set = await machine.want(2)
    (gone, stays) = machine.fleet.servers
    gone.deletion_cost = -1
    machine.store.scale(replica_set, 1)
    await machine.fleet.sync()
    assert (gone.terminating, gone.crashed) == (True, False)
    await asyncio.wait_for(machine.changes.wait(), 5)
    await machine.fleet.sync()
    assert machine.fleet.servers == [stays]
    assert not machine.folder.server(gone.name).exists()
    assert machine.folder.server(stays.name).exists()
    assert gone.process.log.exists()


async def test_servers_end_with_their_replica_set(machine: Machine) -> None:
    """Servers of other ReplicaSets go on."""
    old = await machine.want(2)
    new = await machine.want(1, server={"workers": 2})
    machine.store.delete(ObjectKey("apps/v1", "ReplicaSet", old))
    await machine.sync_until(lambda: len(machine.fleet.servers) == 1, "the old ones are gone")
    assert [server.replica_set for server in machine.fleet.servers] == [new]


async def test_a_server_that_was_killed_is_replaced_at_once(machine: Machine) -> None:
    """The first crash has no pause."""
    await machine.want(2)
    killed, other = machine.fleet.servers
    assert killed.process.pid is not None
    os.kill(killed.process.pid, signal.SIGKILL)
    await asyncio.wait_for(machine.changes.wait(), 5)
    assert killed.crashed
    await machine.fleet.sync()
    assert len(machine.fleet.servers) == 2
    assert other in machine.fleet.servers
    assert killed not in machine.fleet.servers


async def test_a_server_that_keeps_crashing_is_replaced_after_a_pause(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it is listed with the reason."""
    monkeypatch.setattr(fleet_module, "RETRY_SECONDS", (60.0, 60.0))
    machine.fleet.command = CRASH
    await machine.want(1)
    (first,) = machine.fleet.servers
    await machine.sync_until(lambda: first not in machine.fleet.servers, "the first is replaced")
    (second,) = machine.fleet.servers
    await second.process.ended()
    await machine.fleet.sync()
    assert machine.fleet.servers == [second]
    assert second.crashed
    assert second.process.last_log_line() == "no luck"
    assert second.retry_at is not None
    second.retry_at -= 60
    await machine.fleet.sync()
    assert second not in machine.fleet.servers
    assert len(machine.fleet.servers) == 1


async def test_a_server_that_lived_well_is_replaced_at_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes of other servers of its revision do not matter."""
    monkeypatch.setattr(fleet_module, "RETRY_SECONDS", (60.0, 60.0))
    machine.fleet.command = CRASH
    await machine.want(1)
    (first,) = machine.fleet.servers
    await machine.sync_until(lambda: first not in machine.fleet.servers, "the first is replaced")
    (second,) = machine.fleet.servers
    second.created_at -= timedelta(minutes=1)
    await machine.sync_until(lambda: second not in machine.fleet.servers, "the second is replaced")


async def test_a_crashed_server_that_is_not_wanted_any_more_is_forgotten(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "RETRY_SECONDS", (60.0, 60.0))
    machine.fleet.command = CRASH
    replica_set = await machine.want(1)
    await machine.sync_until(lambda: machine.fleet.servers[0].retry_at is not None, "the second waits")
    machine.store.delete(ObjectKey("apps/v1", "ReplicaSet", replica_set))
    await machine.sync_until(lambda: not machine.fleet.servers, "nothing is left")


def test_pauses_grow_up_to_a_bound() -> None:
    """There is no pause after the first crash, and the longest after very many."""
    assert [pause_seconds(crashes) for crashes in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert pause_seconds(10) == pause_seconds(10_000) == RETRY_SECONDS[1]


async def test_a_server_that_cannot_be_started_leaves_nothing(machine: Machine) -> None:
    """Each attempt has a new name; none leaves a folder with credentials."""
    replica_set = await machine.want(0)
    machine.store.delete(ObjectKey("v1", "ConfigMap", replica_set))
    machine.store.scale(replica_set, 1)
    with pytest.raises(PlatformError, match="cannot write the files of chat-"):
        await machine.fleet.sync()
    assert machine.fleet.servers == []
    assert list((machine.folder.path / "servers").iterdir()) == []


async def test_a_changed_secret_reaches_running_servers(machine: Machine) -> None:
    await machine.want(1)
    (server,) = machine.fleet.servers
    machine.store.put_secret("chat-credentials", {"api-key": "rotated"})
    await machine.fleet.sync()
    file = machine.folder.server(server.name) / "etc" / "realtime" / "credentials" / "api-key"
    assert file.read_text() == "rotated"


async def test_the_end_waits_for_all(machine: Machine) -> None:
    """The number of remaining servers is reported, and their files are removed."""
    await machine.want(2)
    found: list[int] = []
    await machine.fleet.stop(found.append, asyncio.Event())
    assert found[0] == 2
    assert machine.fleet.servers == []
    assert list((machine.folder.path / "servers").iterdir()) == []


async def test_an_end_at_once_tells_servers_twice(machine: Machine) -> None:
    """The second SIGTERM makes servers close their connections."""
    machine.fleet.command = TWICE
    await machine.want(2)
    await machine.all_say("up")
    at_once = asyncio.Event()
    stopping = asyncio.create_task(machine.fleet.stop(lambda _: None, at_once))
    await machine.all_say("told 1")
    assert not stopping.done()
    at_once.set()
    await asyncio.wait_for(stopping, 5)


async def test_an_end_at_once_does_not_wait_for_a_server_that_hangs(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second request, servers that do not end are killed."""
    monkeypatch.setattr(fleet_module, "AT_ONCE_SECONDS", 0.05)
    machine.fleet.command = DEAF
    await machine.want(1)
    await machine.all_say("up")
    at_once = asyncio.Event()
    at_once.set()
    await asyncio.wait_for(machine.fleet.stop(lambda _: None, at_once), 5)
    assert machine.fleet.servers == []


async def test_all_can_be_killed(machine: Machine) -> None:
    """Servers that ignore SIGTERM are killed too."""
    machine.fleet.command = DEAF
    await machine.want(2)
    await machine.all_say("up")
    pids = [server.process.pid for server in machine.fleet.servers]
    machine.fleet.kill()
    await eventually(_left(pids), lambda left: not left, what="all are gone", within=5, every=0.01)


def _left(pids: list[int | None]) -> Callable[[], Awaitable[list[int | None]]]:
    async def read() -> list[int | None]:
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]  # noqa: ASYNC240 - in memory

    return read
