"""WebSockets that reach another worker than the one that has their connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_server import codes
from realtime_server.core.control import messages as control
from realtime_server.core.limits.limit import Limit
from realtime_server.core.ports.api import Connections, Message, NodeInfo
from realtime_server.core.ports.backend import Hook, TransportInfo
from realtime_server.core.server_api import ServerApi
from realtime_server.core.serving import Serving
from realtime_server.socket_io.engine_connection import UPGRADE_SECONDS, EngineConnection
from realtime_server.socket_io.far_websockets import FarWebSocket
from realtime_server.socket_io.websocket_relay import PAUSE_AT, WebSocketRelay
from tests.kit.server_doubles import RecordingConnection
from tests.unit.realtime_server.socket_io.world import World, messages_in, polled, settle, two_workers

WEBSOCKET = TransportInfo("websocket", "json")


@dataclass
class Far:
    """Client that polls at one worker, and whose WebSocket reaches another one."""

    holder: World
    other: World
    connection: EngineConnection
    wire: RecordingConnection = field(default_factory=RecordingConnection)
    relays: list[WebSocketRelay] = field(default_factory=list)

    def open(self) -> WebSocketRelay:
        """Open the WebSocket."""
        self.relays.append(self.other.server.relay(self.connection.sid, self.wire, WEBSOCKET))
        return self.relays[-1]

    async def send(self, *messages: str | bytes) -> list[str | bytes]:
        """Send messages by the WebSocket, and return what comes for them."""
        for message in messages:
            if isinstance(message, str):
                self.relays[-1].on_text(message.encode(), 0)
            else:
                self.relays[-1].on_binary(message, 0)
        return await self.take()

    async def take(self) -> list[str | bytes]:
        """Return what has come by the WebSocket since the last call."""
        await settle()
        written, self.wire.written = self.wire.written, []
        return messages_in(written)

    async def take_over(self) -> None:
        """Connect by polling, and go on by the WebSocket."""
        self.connection.take_data(b'40\x1e42["subscribe","open:a"]')
        polled(self.connection)
        self.open()
        assert await self.send("2probe") == ["3probe"]
        await self.send("5")
        assert self.state() == (True, "websocket")

    def state(self) -> tuple[bool, str]:
        """Return whether the connection is open, and its transport."""
        return self.connection.is_open, str(self.connection.transport)

    async def publish(self, data: bytes) -> None:
        """Publish in the room of the client."""
        await ServerApi(self.other.node).publish("open:a", Message(data))


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    """Start two workers, of which one has a connection."""
    async with two_workers() as (holder, other):
        yield Far(holder, other, holder.poll())


async def test_the_connection_goes_on_by_it(far: Far) -> None:
    """What waits for a poll comes first; then both directions, in order, text and binary."""
    far.connection.take_data(b'40\x1e42["subscribe","open:a"]')
    polled(far.connection)
    far.open()
    assert await far.send("2probe") == ["3probe"]
    await far.publish(b'["waits"]')
    assert await far.send("5") == ['42["waits"]']
    for number in range(3):
        await far.publish(b'["x",%d]' % number)
    assert await far.take() == [f'42["x",{number}]' for number in range(3)]
    messages: list[str | bytes] = []
    for number in range(3):
        messages += [f'451-{number}["publish","open:a","message",{{"_placeholder":true,"num":0}}]', bytes([number])]
    found = await far.send(*messages)
    assert [one for one in found if str(one).startswith("43")] == [f"43{number}[{{}}]" for number in range(3)]
    assert [one for one in found if isinstance(one, bytes)] == [bytes([number]) for number in range(3)]
    assert (far.wire.closed_by, len(far.holder.server.far_websockets)) == (None, 1)


async def test_a_poll_that_waits_is_answered_when_it_probes(far: Far) -> None:
    """As by a WebSocket at the same worker: the client upgrades after that."""
    answers: list[bytes] = []
    far.connection.poll(lambda answer: answers.append(answer.body))
    far.open()
    assert await far.send("2probe") == ["3probe"]
    assert answers == [b"6"]


@pytest.mark.parametrize("sent", ["2", "4x", b"x"])
async def test_one_that_does_not_probe_is_closed(far: Far, sent: str | bytes) -> None:
    """The client goes on polling."""
    far.open()
    await far.send(sent)
    assert far.wire.closed_by == codes.BAD_REQUEST_DISCONNECT
    assert far.state() == (True, "polling")
    assert len(far.holder.server.far_websockets) == 0


async def test_one_that_takes_too_long_is_closed(far: Far) -> None:
    far.open()
    await far.send("2probe")
    far.holder.pass_time(UPGRADE_SECONDS + 1)
    await settle()
    assert far.wire.closed_by == codes.BAD_REQUEST_DISCONNECT
    assert far.connection.is_open


async def test_the_second_one_is_closed(far: Far) -> None:
    far.open()
    await far.send("2probe")
    first, far.wire = far.wire, RecordingConnection()
    far.open()
    await settle()
    assert (first.closed_by, far.wire.closed_by) == (None, codes.BAD_REQUEST_DISCONNECT)


async def test_one_for_a_connection_of_nobody_is_closed(far: Far) -> None:
    """Whether its worker is this one, another one, or none."""
    far.other.clock.now += 60
    info = NodeInfo(far.holder.node.uid, "holder", "0", 0, 0, 0, 0)
    far.other.node.on_control(control.encode(control.Announce.of(info)))
    for worker in (far.holder.node.uid, far.other.node.uid, "gone"):
        wire = RecordingConnection()
        far.other.server.relay(f"{worker}.x", wire, WEBSOCKET)
        await settle()
        assert wire.closed_by == (codes.SERVER_ERROR if worker == "gone" else codes.BAD_REQUEST_DISCONNECT)
    assert not far.other.node.sessions


async def test_its_loss_ends_the_connection(far: Far) -> None:
    """As that of a WebSocket at the same worker; before it has taken over, the client goes on polling."""
    far.open()
    await far.send("2probe")
    far.relays[-1].on_closed()
    await settle()
    assert far.state() == (True, "polling")
    await far.take_over()
    far.relays[-1].on_closed()
    await settle()
    assert not far.connection.is_open
    assert not far.holder.node.sessions
    assert not far.other.node.sessions
    assert len(far.holder.server.far_websockets) == 0


async def test_its_loss_while_it_cannot_keep_up_ends_the_connection(far: Far) -> None:
    """Nobody asks for more then whose going away would tell."""
    await far.take_over()
    far.wire.congested = True
    await far.publish(b'["x"]')
    await settle()
    far.relays[-1].on_closed()
    await settle()
    assert not far.connection.is_open


@pytest.mark.parametrize(
    ("code", "text"), [(codes.FORCE_RECONNECT, []), (codes.FORCE_DISCONNECT, ["41"])], ids=["move", "final"]
)
async def test_an_end_by_the_server_reaches_the_client(far: Far, code: codes.DisconnectCode, text: list[str]) -> None:
    """With the code of a move it is the close of the WebSocket; a final one is told, and the connection stays."""
    await far.take_over()
    await ServerApi(far.other.node).disconnect(Connections("", next(iter(far.holder.node.sessions)).client), code=code)
    assert await far.take() == text
    assert far.wire.closed_by == (None if text else code)


async def test_the_other_worker_drains(far: Far) -> None:
    """The client is closed with the code of a move, and comes back."""
    await far.take_over()
    serving = Serving(far.holder.node)
    serving.drain(100)
    far.holder.clock.now += 1
    serving.tick()
    await settle()
    assert far.wire.closed_by == codes.FORCE_RECONNECT
    assert not far.other.node.sessions


async def test_this_worker_drains(far: Far) -> None:
    """A relay is one of its connections: it is moved like any other."""
    await far.take_over()
    serving = Serving(far.other.node)
    assert serving.status().connections == 1
    serving.drain(100)
    far.other.clock.now += 1
    serving.tick()
    await settle()
    assert far.wire.closed_by == codes.FORCE_RECONNECT
    assert not far.connection.is_open


async def test_a_worker_that_ends_takes_the_websocket_with_it(far: Far) -> None:
    await far.take_over()
    far.other.node.on_control(control.encode(control.Leave(far.holder.node.uid)))
    far.other.node.asks.check()
    await settle()
    assert far.wire.closed_by == codes.SERVER_ERROR


async def test_a_lost_backplane_ends_it(far: Far) -> None:
    """Messages may have been lost with it."""
    await far.take_over()
    far.other.node.on_gap()
    await settle()
    assert far.wire.closed_by == codes.SERVER_ERROR
    assert not far.connection.is_open


async def test_reading_pauses_while_the_other_worker_cannot_take_more(far: Far) -> None:
    """And goes on when it can; nothing is lost."""
    await far.take_over()
    owner = object()
    far.connection.pause(owner)
    for number in range(PAUSE_AT + 1):
        assert not far.wire.paused
        far.relays[-1].on_text(f'42{number}["publish","open:a","x"]'.encode(), 0)
        if number == 0:
            await settle()
    assert far.wire.paused
    assert await far.take() == []
    far.connection.resume(owner)
    found = [one for one in await far.take() if str(one).startswith("43")]
    assert found == [f"43{number}[{{}}]" for number in range(PAUSE_AT + 1)]
    assert not far.wire.paused


async def test_a_client_that_reads_slowly_is_congested_at_the_other_worker(far: Far) -> None:
    """Nothing more is asked for until it has read; beyond the bound it is closed."""
    await far.take_over()
    wire = far.connection.wire
    assert isinstance(wire, FarWebSocket)
    far.wire.congested = True
    await far.publish(b'"%b"' % (b"x" * 100))
    await settle()
    await far.publish(b'"%b"' % (b"y" * 100_000))
    await settle()
    assert wire.congested
    assert wire.unacknowledged() > 100_000
    far.wire.congested = False
    far.relays[-1].on_writable()
    assert len(await far.take()) == 2
    assert wire.unacknowledged() == 0
    far.wire.congested = True
    await far.publish(b'"z"')
    await settle()
    for _ in range(11):
        await far.publish(b'"%b"' % (b"y" * 100_000))
    await settle()
    far.wire.congested = False
    far.relays[-1].on_writable()
    await settle()
    assert far.wire.closed_by == codes.SLOW


async def test_pings_of_the_websocket_count_towards_the_rate(far: Far) -> None:
    """That of the client, at the other worker: it is read no further until then."""
    await far.take_over()
    limits = far.holder.node.settings.limits
    for _ in range(limits.message_burst + 2 * PAUSE_AT):
        far.relays[-1].on_control(0)
    await settle()
    assert far.wire.paused
    assert far.holder.node.counters.limits[Limit.MESSAGES_PER_SECOND] == 1


async def test_a_relay_is_nobody_to_the_backend(far: Far) -> None:
    """It is neither of a user, nor reported at its end."""
    far.other.backend.hooks = frozenset(Hook)
    relay = far.open()
    await settle()
    assert (relay.user, relay.admitted, far.other.backend.asked) == ("", False, [])
    far.other.clock.now += 1000
    relay.on_closed()
    await settle()
    assert far.other.backend.events == []


STEPS = st.lists(
    st.sampled_from(["client", "binary", "server", "congest", "read", "pause", "resume", "settle"]), max_size=30
)


@given(STEPS, st.integers(0, 30))
@settings(max_examples=settings().max_examples // 4)
def test_everything_goes_through_in_order(steps: list[str], upgraded_at: int) -> None:
    """Whatever the client and the server do meanwhile, and whenever the WebSocket takes over."""
    asyncio.run(in_any_order(steps, upgraded_at))


async def in_any_order(steps: list[str], upgraded_at: int) -> None:
    async with two_workers() as (holder, other):
        far = Far(holder, other, holder.poll())
        far.connection.take_data(b'40\x1e42["subscribe","open:a"]')
        polled(far.connection)
        far.open()
        assert await far.send("2probe") == ["3probe"]
        came: list[str | bytes] = []
        owner = object()
        sent = published = 0
        for number, step in enumerate([*steps, "last"]):
            if number == upgraded_at or (step == "last" and upgraded_at >= number):
                far.relays[-1].on_text(b"5", 0)
            is_upgraded = number >= upgraded_at
            if step in {"client", "binary"} and is_upgraded and not far.wire.paused:
                text = (
                    f'42{sent}["subscribe","open:a"]'
                    if step == "client"
                    else f'451-{sent}["x",{{"_placeholder":true,"num":0}}]'
                )
                far.relays[-1].on_text(text.encode(), 0)
                if step == "binary":
                    far.relays[-1].on_binary(b"x", 0)
                sent += 1
            elif step == "server":
                await far.publish(b'["tick",%d]' % published)
                published += 1
            elif step in {"congest", "read"}:
                far.wire.congested = step == "congest"
                far.relays[-1].on_writable()
            elif step in {"pause", "resume"}:
                (far.connection.pause if step == "pause" else far.connection.resume)(owner)
            elif step == "settle":
                came += await far.take()
        far.wire.congested = False
        far.relays[-1].on_writable()
        far.connection.resume(owner)
        came += await far.take() + await far.take()
        assert [one for one in came if str(one).startswith("42")] == [f'42["tick",{n}]' for n in range(published)]
        acks = [str(one)[2:].partition("[")[0] for one in came if str(one).startswith("43")]
        assert acks == [str(n) for n in range(sent)]
        assert far.wire.closed_by is None
