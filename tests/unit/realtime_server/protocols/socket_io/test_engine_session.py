"""Session of Engine.IO: polling, the upgrade, and the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from realtime_server.protocols.socket_io.engine_packets import EnginePacket, EngineType, decode_text
from realtime_server.protocols.socket_io.engine_requests import Answer, TransportName
from realtime_server.protocols.socket_io.engine_session import MAX_POLLED, EngineEnd, EngineSession, Stage
from tests.unit.realtime_server.protocols.socket_io.answers import RECORDED, Recorded

MAX_PAYLOAD = 50
PROBE = EnginePacket(EngineType.PING, b"probe")
UPGRADE = EnginePacket(EngineType.UPGRADE)


class Client:
    """Client of a session, which records what becomes of it."""

    def __init__(self, transport: TransportName = TransportName.POLLING) -> None:
        self.packets: list[EnginePacket] = []
        self.ends: list[EngineEnd] = []
        self.session = EngineSession(transport, MAX_PAYLOAD, self.packets.append, self.ends.append)

    def poll(self) -> list[Answer]:
        """Poll; return a list that gets the answer."""
        answers: list[Answer] = []
        self.session.poll(answers.append)
        return answers

    def post(self, body: str, content_type: str = "text/plain") -> Answer:
        """Send data; return the answer."""
        return self.session.begin_data(content_type) or self.session.take_data(body.encode())

    def send(self, *packets: bytes) -> None:
        """Send packets to the client."""
        self.session.write(packets, sum(map(len, packets)))
        self.session.flush()


POSTS = [one for one in RECORDED.values() if one.method == "POST" and "SID" in one.query]


@pytest.mark.parametrize("recorded", POSTS, ids=lambda recorded: recorded.name)
def test_data_is_answered_as_by_the_reference(recorded: Recorded) -> None:
    """And the session is closed for the same reason."""
    client = Client()
    assert client.post(recorded.body, recorded.headers.get("content-type", "")) == recorded.answer.answer()
    assert "".join(client.ends) == recorded.closed


def test_a_poll_waits_until_there_is_something_to_send() -> None:
    client = Client()
    answers = client.poll()
    client.session.flush()
    assert answers == []
    client.send(b"4a", b"4b")
    assert [answer.body for answer in answers] == [b"4a\x1e4b"]
    client.send(b"4c")
    assert [answer.body for answer in client.poll()] == [b"4c"]


def test_an_answer_has_no_more_packets_than_every_client_takes() -> None:
    client = Client()
    client.send(*[b"4"] * (MAX_POLLED + 1))
    assert [[answer.body.count(b"4") for answer in client.poll()] for _ in range(2)] == [[MAX_POLLED], [1]]


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("polls that overlap", lambda client: client.poll()),
        ("a poll that waits while the client closes", lambda client: client.post("1") and []),
    ],
)
def test_a_poll_that_waits_is_answered_as_by_the_reference(name: str, act: Callable[[Client], list[Answer]]) -> None:
    client = Client()
    answers = client.poll()
    answers += act(client)
    assert answers == [one.answer() for one in RECORDED[name].answers]
    assert "".join(client.ends) == RECORDED[name].closed


def test_data_that_overlaps_ends_the_session() -> None:
    client = Client()
    recorded = RECORDED["data that overlaps"]
    assert client.session.begin_data("") is None
    assert client.session.begin_data("") == recorded.answers[1].answer()
    client.session.take_data(b"4a")
    assert client.packets == []
    assert client.ends == [EngineEnd(recorded.closed)]


def test_a_client_that_polls_later_is_refused_after_what_waits() -> None:
    """The reference sends CLOSE; python-engineio comes back only when a poll fails, socket.io-client after both."""
    client = Client()
    client.send(*[b"4"] * (MAX_POLLED + 1))
    client.session.close()
    client.send(b"4late")
    assert client.ends == [EngineEnd.FORCED_CLOSE]
    assert client.post("4a").status == 200
    assert client.packets == []
    bodies = [answer.body for _ in range(2) for answer in client.poll()]
    assert bodies == [b"\x1e".join([b"4"] * MAX_POLLED), b"4"]
    assert client.session.stage is Stage.CLOSED
    assert [answer.status for answer in client.poll()] == [400]
    assert len(client.ends) == 1


def test_a_poll_that_waits_is_answered_when_the_server_closes() -> None:
    """The next one is refused."""
    client = Client()
    answers = client.poll()
    client.session.close()
    assert [answer.body for answer in answers] == [b"6"]
    assert [answer.status for answer in client.poll()] == [400]


def test_messages_and_pongs_are_passed_on() -> None:
    client = Client(TransportName.WEBSOCKET)
    for text in (b"4a", b"3", b"0", b"6", b"5"):
        client.session.receive(decode_text(text))
    assert client.packets == [EnginePacket(EngineType.MESSAGE, b"a"), EnginePacket(EngineType.PONG)]
    assert client.session.is_open


def test_a_websocket_takes_over_with_what_waits() -> None:
    """The poll that waits is answered, after which the client upgrades."""
    client, recorded = Client(), RECORDED["an upgrade"]
    session = client.session
    answers = client.poll()
    assert session.begin_upgrade()
    assert not session.begin_upgrade()
    assert session.take_probe(PROBE) == EnginePacket(EngineType.PONG, b"probe")
    assert [answer.body for answer in answers] == [b"6"]
    client.send(b"4a")
    assert [answer.body for answer in client.poll()] == [b"4a"]
    assert [answer.body for answer in client.poll()] == [b"6"]
    client.send(b"4b", b"4c")
    assert session.take_probe(UPGRADE) is None
    assert session.stage is Stage.WEBSOCKET
    assert session.take_waiting() == [b"4b", b"4c"]
    assert session.transport is TransportName.WEBSOCKET
    assert not session.begin_upgrade()
    assert [answer.status for answer in client.poll()] == [400]
    assert "".join(client.ends) == recorded.closed


def test_a_probe_that_is_none_leaves_the_client_polling() -> None:
    client = Client()
    session = client.session
    assert session.begin_upgrade()
    assert session.take_probe(EnginePacket(EngineType.MESSAGE, b"a")) is None
    assert session.stage is Stage.POLLING
    assert session.begin_upgrade()
    session.abandon_upgrade()
    client.send(b"4a")
    assert [answer.body for answer in client.poll()] == [b"4a"]
    assert not client.packets
    assert not client.ends


@pytest.mark.parametrize(
    ("transport", "end"),
    [(TransportName.POLLING, EngineEnd.TRANSPORT_ERROR), (TransportName.WEBSOCKET, EngineEnd.TRANSPORT_CLOSE)],
)
def test_a_lost_transport_ends_the_session_once(transport: TransportName, end: EngineEnd) -> None:
    client = Client(transport)
    client.session.lose()
    client.session.lose()
    client.session.close()
    assert client.ends == [end]


class AnyOrder(RuleBasedStateMachine):
    """Everything in any order: each request has one answer, no packet is sent twice or out of order, one end."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client()
        self.session = self.client.session
        self.polls: list[list[Answer]] = []
        self.sent = 0
        self.websocket: list[bytes] = []

    @rule()
    def poll(self) -> None:
        """Poll."""
        self.polls.append(self.client.poll())

    @rule(body=st.sampled_from(["4a", "3", "4a\x1e4b", "9", "2", "1", "5", ""]))
    def post(self, body: str) -> None:
        """Send data."""
        assert self.client.post(body).status in {200, 400}

    @rule(count=st.integers(1, 20))
    def send(self, count: int) -> None:
        """Send numbered packets."""
        if self.session.stage is Stage.WEBSOCKET:
            return
        for _ in range(count):
            self.sent += self.session.is_open
            self.client.send(b"4%d" % self.sent)

    @rule(packet=st.sampled_from([PROBE, UPGRADE, EnginePacket(EngineType.MESSAGE)]))
    def upgrade(self, packet: EnginePacket) -> None:
        """Send a packet by another WebSocket."""
        self.session.begin_upgrade()
        was = self.session.stage
        self.session.take_probe(packet)
        if was is not self.session.stage is Stage.WEBSOCKET:
            self.websocket = self.session.take_waiting()

    @rule()
    def abandon(self) -> None:
        """Lose that WebSocket."""
        self.session.abandon_upgrade()

    @precondition(lambda self: self.session.is_open)
    @rule()
    def close(self) -> None:
        """Close from the server."""
        self.session.close()

    @rule()
    def lose(self) -> None:
        """Lose the transport, and with it a poll that waits."""
        if self.polls and not self.polls[-1]:
            self.polls.pop()
        self.session.lose()

    @invariant()
    def each_request_has_one_answer(self) -> None:
        """Only the last poll may wait."""
        assert all(len(answers) == 1 for answers in self.polls[:-1])
        assert len(self.polls[-1:]) <= 1
        if self.session.stage in {Stage.WEBSOCKET, Stage.CLOSED, Stage.CLOSING}:
            assert all(len(answers) == 1 for answers in self.polls)

    @invariant()
    def packets_are_in_order(self) -> None:
        """Each once; some may be lost with the end."""
        bodies = [answer.body for answers in self.polls for answer in answers if answer.status == 200]
        assert all(body.count(b"\x1e") < MAX_POLLED for body in bodies)
        packets = [packet for body in bodies for packet in body.split(b"\x1e")] + self.websocket
        numbers = [int(packet[1:]) for packet in packets if packet.startswith(b"4")]
        assert numbers == list(range(1, len(numbers) + 1))

    @invariant()
    def there_is_one_end(self) -> None:
        """Reported once, and never before it."""
        assert len(self.client.ends) == (not self.session.is_open)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=settings().max_examples // 3)
