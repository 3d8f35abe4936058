"""Operations on the sockets of two workers, whose control messages pass within this process."""

from __future__ import annotations

import asyncio
import re

import pytest

from realtime_server import codes
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.core.control.messages import Leave, Notice
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.ports.backplane import BrokerEvents
from realtime_server.socket_io import cluster_sockets
from realtime_server.socket_io.ack_collection import Ack
from realtime_server.socket_io.cluster_sockets import ClusterAcks, merged
from realtime_server.socket_io.emissions import Emission, emission_of
from realtime_server.socket_io.socket_index import SocketEntry, SocketPage, SocketSelection
from realtime_server.socket_io.socket_requests import NAME
from tests.kit.server_doubles import SECRET
from tests.kit.tokens import connection_token
from tests.unit.realtime_server.socket_io.world import Client, World, settle

ROOT = SocketSelection("/")
TOKEN = connection_token(SECRET, "ann")


class ControlNetwork:
    """Control channel between workers. `lost`: uids of those that get nothing."""

    def __init__(self) -> None:
        self.workers: dict[str, BrokerEvents] = {}
        self.lost: set[str] = set()


class NetworkedBroker(MemoryBroker):
    """Broker of its own but for control messages."""

    immediate = False

    def __init__(self, network: ControlNetwork) -> None:
        super().__init__()
        self._network = network

    async def start(self, events: BrokerEvents, node: str = "") -> None:
        """Take part in the network."""
        await super().start(events, node)
        self._network.workers[node] = events

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Deliver to all workers, or to one."""
        for uid, events in self._network.workers.items():
            if node in ("", uid) and uid not in self._network.lost:
                asyncio.get_running_loop().call_soon(events.on_control, message)


async def two_workers() -> tuple[World, World, ControlNetwork]:
    """Return two workers, the second of which has just started."""
    network = ControlNetwork()
    one, other = [World(broker=NetworkedBroker(network)) for _ in range(2)]
    await one.node.start()
    await settle()
    await other.node.start()
    await settle()
    return one, other, network


async def connected(world: World) -> tuple[Client, str]:
    """Return a client of alice, and the id of its socket."""
    client = world.open()
    return client, await client.connect(auth={"token": TOKEN})


def number_in(client: Client) -> str:
    """Return the id of the acknowledgement that the one event of a client asks for."""
    [message] = client.take()
    found = re.match("42([0-9]+)", str(message))
    assert found is not None
    return found[1]


async def test_an_event_reaches_the_sockets_of_all_workers() -> None:
    one, other, _ = await two_workers()
    clients = [(await connected(world))[0] for world in (one, other)]
    await other.server.cluster.emit(emission_of(ROOT, ["x", b"\x00"]))
    await settle()
    expected = ['451-["x",{"_placeholder":true,"num":0}]', b"\x00"]
    assert [client.take() for client in clients] == [expected] * 2


async def test_acknowledgements_of_all_workers_are_collected() -> None:
    one, other, _ = await two_workers()
    (a, a_id), (b, b_id), (_, c_id) = [await connected(world) for world in (one, other, other)]
    collecting = asyncio.create_task(other.server.cluster.collect(emission_of(ROOT, ["x"]), 0.05))
    await settle()
    a.text(f"43{number_in(a)}[1]")
    b.text(f"43{number_in(b)}[2]")
    assert await collecting == ClusterAcks([Ack(b_id, b"[2]"), Ack(a_id, b"[1]")], [c_id], complete=True)


async def test_a_worker_that_dies_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, or it does not answer."""
    one, other, network = await two_workers()
    _, a_id = await connected(one)
    await connected(other)
    collecting = asyncio.create_task(one.server.cluster.collect(emission_of(ROOT, ["x"]), 0.05))
    await settle()
    one.node.on_control(b'{"type":"leave","uid":"%b"}' % other.node.uid.encode())
    assert await collecting == ClusterAcks([], [a_id], complete=False)
    await other.node._announce()
    await settle()
    network.lost.add(other.node.uid)
    monkeypatch.setattr(cluster_sockets, "COLLECT_SECONDS", 0.05)
    assert await one.server.cluster.collect(emission_of(ROOT, ["x"]), 0.01) == ClusterAcks([], [a_id], complete=False)
    monkeypatch.setattr(cluster_sockets, "ANSWER_SECONDS", 0.01)
    with pytest.raises(BackplaneError):
        await one.server.cluster.join(ROOT, ["open:a"])
    with pytest.raises(BackplaneError):
        await one.server.cluster.page(ROOT, after="", limit=10)


async def test_a_worker_without_the_protocol_has_no_sockets() -> None:
    """As while a cluster is rolled out that turns it on; and one of another release is not harmed."""
    one, other, _ = await two_workers()
    _, a_id = await connected(one)
    other.node.asks.end(NAME)
    assert await one.server.cluster.collect(emission_of(ROOT, ["x"]), 0.01) == ClusterAcks([], [a_id], complete=True)
    assert await one.server.cluster.join(ROOT, ["open:a"]) == 1
    for notice in (Notice(NAME, b"\xc1"), Notice("other", b""), Leave("nobody")):
        await one.node.tell(notice)
    await settle()
    assert not one.node.broken.is_set()


async def test_more_sockets_than_can_be_asked_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, _ = await two_workers()
    await connected(other)
    monkeypatch.setattr("realtime_server.socket_io.emissions.MAX_AWAITED", 0)
    with pytest.raises(CommandError) as refused:
        await one.server.cluster.collect(emission_of(ROOT, ["x"]), 1)
    assert refused.value.error is codes.LIMIT_EXCEEDED


async def test_sockets_of_all_workers_join_leave_and_are_disconnected() -> None:
    one, other, _ = await two_workers()
    (a, a_id), (b, b_id) = [await connected(world) for world in (one, other)]
    cluster = one.server.cluster
    assert await cluster.join(ROOT, ["open:a"]) == 2
    assert await cluster.leave(SocketSelection("/", frozenset({a_id})), ["open:a"]) == 1
    room = SocketSelection("/", frozenset({"open:a"}))
    page = await cluster.page(room, after="", limit=10)
    assert page == SocketPage([SocketEntry(b_id, "ann", "websocket", None, ["open:a"])], 1, is_last=True)
    await cluster.disconnect(room, codes.FORCE_DISCONNECT, whole=False)
    await settle()
    assert (a.take(), b.take()) == ([], ["41"])


async def test_pages_have_every_socket_once() -> None:
    one, other, _ = await two_workers()
    ids = sorted([(await connected(world))[1] for world in (one, other, other, one, other)])
    found: list[str] = []
    for count in (2, 2, 1):
        page = await one.server.cluster.page(ROOT, after=found[-1] if found else "", limit=2)
        found += [entry.client for entry in page.sockets]
        assert (len(page.sockets), page.total, page.is_last) == (count, 5, count == 1)
    assert found == ids


def entry(client: str, size: int = 0) -> SocketEntry:
    """Return a socket."""
    return SocketEntry(client, "", "", b"x" * size, [])


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([("ad", True), ("bc", True)], ("abcd", True)),
        ([("ad", False), ("bc", True)], ("abcd", False)),
        ([("ad", True), ("bc", False)], ("abc", False)),
        ([("", True), ("", True)], ("", True)),
        ([("abcde", True), ("fg", True)], ("abcd", False)),
    ],
)
def test_a_page_ends_where_one_of_a_worker_does(pages: list[tuple[str, bool]], expected: tuple[str, bool]) -> None:
    page = merged([SocketPage([*map(entry, ids)], len(ids), is_last) for ids, is_last in pages], 4)
    assert ("".join(each.client for each in page.sockets), page.is_last) == expected
    assert page.total == sum(len(ids) for ids, _ in pages)


def test_the_size_of_a_page_is_bounded() -> None:
    """By as many sockets as fit, and at least one."""
    large = cluster_sockets.PAGE_BYTES - 1000
    page = merged([SocketPage([entry("a", large), entry("b", large)], 2, is_last=True)], 10)
    assert ([each.client for each in page.sockets], page.is_last) == (["a"], False)


async def test_a_namespace_or_a_room_that_does_not_exist_is_refused() -> None:
    world = World()
    none = SocketSelection("/none")
    cluster = world.server.cluster
    for work in (
        cluster.emit(Emission(none, b'["x"]')), cluster.collect(Emission(none, b'["x"]'), 1), cluster.join(none, ["a"]),
        cluster.leave(none, ["a"]), cluster.disconnect(none, codes.FORCE_DISCONNECT, whole=False),
        cluster.page(none, after="", limit=1),
    ):  # fmt: skip
        with pytest.raises(CommandError) as refused:
            await work
        assert refused.value.error is codes.BAD_REQUEST
        assert "/chat" in refused.value.why
    for room in ("nowhere:a", "x" * 300):
        with pytest.raises(CommandError) as unknown:
            await cluster.join(ROOT, [room])
        assert unknown.value.error is codes.UNKNOWN_CHANNEL


async def test_a_join_for_which_a_socket_has_no_room_fails() -> None:
    """At any worker. All other sockets have joined."""
    one, other, _ = await two_workers()
    (_, first), (_, second) = await connected(one), await connected(other)
    full = SocketSelection("/", frozenset({second}))
    assert await one.server.cluster.join(full, ["open:a", "open:b", "open:c"]) == 1
    with pytest.raises(CommandError) as refused:
        await one.server.cluster.join(ROOT, ["open:d"])
    assert refused.value.error is codes.LIMIT_EXCEEDED
    assert "as they may be: 1;" in refused.value.why
    page = await one.server.cluster.page(ROOT, after="", limit=10)
    rooms = {entry.client: entry.rooms for entry in page.sockets}
    assert rooms == {first: ["open:d"], second: ["open:a", "open:b", "open:c"]}
    await one.node.stop()
    await other.node.stop()
