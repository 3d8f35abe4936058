"""Delivery to the subscribers of a channel: combined, ordered, complete or as deltas."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec

from realtime_server.codes import UnsubscribeCode
from realtime_server.core.channels import delta
from realtime_server.core.channels.fan_out import FanOut
from realtime_server.core.model.channel_options import ChannelOptions, SlowConsumer
from realtime_server.core.model.publication import Content
from realtime_server.core.model.pushes import JoinPush
from realtime_server.core.model.values import ClientInfo
from realtime_server.core.ports.client import Codec, Connection
from realtime_server.core.ports.tracing import Delivery, NoTracing, Trace
from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from realtime_server.protocols.plain.codec import Bare, WebSocketCodec
from realtime_server.transports.frames import PING, frame_text
from tests.kit.server_doubles import WIRE, RecordingConnection

OTHER_WIRE = JsonCodec(lambda message: message)
BOB = JoinPush(ClientInfo("bob", "c2"))
DOCUMENT = b'{"text":"a document that changes in one place only","number":%d}'


@dataclass(eq=False)
class Listener:
    """Subscriber that records what it gets."""

    codec: Codec = WIRE
    recorder: RecordingConnection = field(default_factory=RecordingConnection)
    connection: Connection = field(init=False)
    slow: bool = False
    held: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Record what is written."""
        self.connection = self.recorder

    def info_in(self, channel: str) -> ClientInfo | None:
        """Return None."""
        raise NotImplementedError(channel)

    def emits_join_leave(self, channel: str) -> bool:
        """Return False."""
        raise NotImplementedError(channel)

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """Do nothing."""
        raise NotImplementedError(channel, code)

    def lags(self) -> bool:
        """Return what the test has set."""
        return self.slow

    def hold(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Record number and offset."""
        assert (channel, policy) == ("a", SlowConsumer.DROP_OLDEST)
        self.held.append((int(content.data), offset))

    def writes(self) -> list[list[object]]:
        """Return each write since the last call: the data of its publications, or the other message."""
        written, self.recorder.written = self.recorder.written, []
        decoder = msgspec.json.Decoder(dict[str, dict[str, object]])
        return [[_shown(document) for document in decoder.decode_lines(_lines(frames))] for frames in written]


def _lines(frames: bytes) -> bytes:
    return frames.replace(b'}{"push"', b'}\n{"push"')


def _shown(document: dict[str, dict[str, object]]) -> object:
    push = document["push"]
    publication = push.get("pub")
    return publication["data"] if isinstance(publication, dict) else next(kind for kind in push if kind != "channel")


def number(value: int) -> Content:
    """Return a numbered publication."""
    return Content(b"%d" % value)


def fan_out(options: ChannelOptions, *listeners: Listener) -> FanOut:
    """Return the subscribers of the channel `a`."""
    made = FanOut("a", options)
    for listener in listeners:
        made.add(listener, delta=False, receives_join_leave=False)
    return made


# traces


@dataclass(eq=False)
class RecordingTracing(NoTracing):
    """Tracing that records when deliveries begin and end, among `events`."""

    events: list[str]

    def delivering(self, channel: str, trace: Trace, offset: int) -> Delivery:
        """Record the beginning."""
        self.events.append(f"begin {channel} {offset} {trace['traceparent']}")
        return RecordingDelivery(self.events, offset)


@dataclass(frozen=True)
class RecordingDelivery:
    """Delivery that records its end."""

    events: list[str]
    offset: int

    def end(self, subscribers: int) -> None:
        """Record the end."""
        self.events.append(f"end {self.offset} to {subscribers}")


def traced(value: int) -> Content:
    """Return a numbered publication of a trace."""
    return Content(b"%d" % value, trace={"traceparent": f"trace-{value}"})


async def test_a_delivery_ends_when_what_was_written_is_sent() -> None:
    """One delivery for all subscribers; what is not sampled has none."""
    events: list[str] = []
    subscribers = FanOut("a", ChannelOptions(), RecordingTracing(events))
    for _ in range(3):
        subscribers.add(Listener(), delta=False, receives_join_leave=False)
    subscribers.deliver(number(1), 1)
    asyncio.get_running_loop().call_soon(events.append, "flush")  # as connections do when they are written to
    subscribers.deliver(traced(2), 2)
    await asyncio.sleep(0)
    assert events == ["begin a 2 trace-2", "flush", "end 2 to 3"]


async def test_a_delayed_delivery_lasts_until_it_is_written() -> None:
    """Each publication has its own, also when they are written together."""
    events: list[str] = []
    subscribers = FanOut("a", ChannelOptions(write_delay_seconds=60), RecordingTracing(events))
    subscribers.add(Listener(), delta=False, receives_join_leave=False)
    subscribers.deliver(traced(1), 1)
    subscribers.deliver(traced(2), 2)
    await asyncio.sleep(0)
    assert events == ["begin a 1 trace-1", "begin a 2 trace-2"]
    subscribers.flush()
    await asyncio.sleep(0)
    assert events[2:] == ["end 1 to 1", "end 2 to 1"]


# write delay


async def test_what_is_published_within_the_delay_is_one_write() -> None:
    """Each subscriber gets one write, in order, at the end of the delay."""
    one, two = Listener(), Listener(OTHER_WIRE)
    subscribers = fan_out(ChannelOptions(write_delay_seconds=0.001), one, two)
    for value in (1, 2, 3):
        subscribers.deliver(number(value), value)
    assert one.writes() == []
    await asyncio.sleep(0.01)
    assert (one.writes(), two.writes()) == ([[1, 2, 3]], [[1, 2, 3]])
    subscribers.deliver(number(4), 4)
    assert one.writes() == []
    await asyncio.sleep(0.01)
    assert one.writes() == [[4]]


async def test_without_a_delay_nothing_waits() -> None:
    """Without a delay each publication is one write; the transport joins writes of one loop iteration."""
    one = Listener()
    subscribers = fan_out(ChannelOptions(), one)
    subscribers.deliver(number(1), 1)
    assert one.writes() == [[1]]


async def test_what_waits_goes_before_whatever_else_happens() -> None:
    """Delayed publications precede a new subscriber, a join or leave, and are sent once by flush."""
    one, two = Listener(), Listener()
    subscribers = FanOut("a", ChannelOptions(write_delay_seconds=60))
    subscribers.add(one, delta=False, receives_join_leave=True)
    subscribers.deliver(number(1), 1)
    subscribers.add(two, delta=False, receives_join_leave=False)
    assert (one.writes(), two.writes()) == ([[1]], [])
    subscribers.deliver(number(2), 2)
    subscribers.announce(BOB)
    assert (one.writes(), two.writes()) == ([[2], ["join"]], [[2]])
    subscribers.deliver(number(3), 3)
    subscribers.flush()
    subscribers.flush()
    assert (one.writes(), two.writes()) == ([[3]], [[3]])


async def test_a_join_that_a_codec_does_not_have_is_not_written() -> None:
    """Clients of Socket.IO, and bare ones, are not told of others."""
    bare = Bare(binary=False)
    one = Listener(WebSocketCodec(bare, frame_text, PING, lambda _channel: "", binary=False))
    subscribers = FanOut("a", ChannelOptions())
    subscribers.add(one, delta=False, receives_join_leave=True)
    subscribers.announce(BOB)
    assert one.recorder.written == []


async def test_who_has_left_gets_nothing_of_what_waits() -> None:
    """A subscriber that left gets no delayed publications."""
    one, two = Listener(), Listener()
    subscribers = fan_out(ChannelOptions(write_delay_seconds=60), one, two)
    subscribers.deliver(number(1), 1)
    subscribers.remove(one)
    subscribers.remove(one)
    subscribers.flush()
    assert (one.writes(), two.writes()) == ([], [[1]])
    assert (len(subscribers), list(subscribers), bool(subscribers)) == (1, [two], True)
    subscribers.remove(two)
    assert not subscribers


async def test_who_is_ahead_gets_of_a_write_what_is_new_to_it() -> None:
    """A subscriber that is ahead skips publications up to its offset."""
    one, two = Listener(), Listener()
    subscribers = fan_out(ChannelOptions(write_delay_seconds=60), one, two)
    subscribers.ahead[two] = 2
    for value in (1, 2, 3):
        subscribers.deliver(number(value), value)
    subscribers.flush()
    assert (one.writes(), two.writes()) == ([[1, 2, 3]], [[3]])
    assert subscribers.ahead == {}


# slow consumers


async def test_a_slow_subscriber_is_held_for_and_the_others_are_not() -> None:
    """Publications are held for a slow subscriber only, unless it has them already."""
    slow, fast = Listener(slow=True), Listener()
    subscribers = fan_out(ChannelOptions(slow_consumer=SlowConsumer.DROP_OLDEST), slow, fast)
    subscribers.ahead[slow] = 1
    for value in (1, 2):
        subscribers.deliver(number(value), value)
    assert (slow.held, slow.writes(), fast.writes()) == ([(2, 2)], [], [[1], [2]])


async def test_where_nothing_may_be_dropped_a_slow_subscriber_is_written_to() -> None:
    """Without a drop policy publications are written to a slow subscriber, whose outbox is bounded."""
    slow = Listener(slow=True)
    fan_out(ChannelOptions(), slow).deliver(number(1), 1)
    assert (slow.held, slow.writes()) == ([], [[1]])


# who joins and leaves


async def test_only_watchers_are_told_who_joins() -> None:
    """Joins and leaves go to the subscribers that receive them, encoded by their codec."""
    one, two, three = Listener(), Listener(), Listener(OTHER_WIRE)
    subscribers = FanOut("a", ChannelOptions(join_leave=True))
    for listener, receives_join_leave in ((one, True), (two, False), (three, True)):
        subscribers.add(listener, delta=False, receives_join_leave=receives_join_leave)
    subscribers.announce(BOB)
    assert (one.writes(), two.writes(), three.writes()) == ([["join"]], [], [["join"]])


# differences


def document(value: int) -> Content:
    """Return a document with a small change per number."""
    return Content(DOCUMENT % value)


def whole(value: int) -> list[object]:
    """Return the complete publication for a subscriber with deltas."""
    return [(DOCUMENT % value).decode()]


def difference(before: int, after: int) -> list[object]:
    """Return the delta for a subscriber with deltas."""
    made = delta.patch(DOCUMENT % before, DOCUMENT % after)
    assert made is not None
    return [made.decode()]


async def test_the_first_is_whole_and_the_next_are_differences() -> None:
    """Each subscriber with deltas gets a complete publication first; others get complete ones only."""
    one, two, plain = Listener(), Listener(), Listener()
    subscribers = fan_out(ChannelOptions(delta=True), plain)
    subscribers.add(one, delta=True, receives_join_leave=False)
    subscribers.deliver(document(1), 1)
    subscribers.deliver(document(2), 2)
    subscribers.add(two, delta=True, receives_join_leave=False)
    subscribers.deliver(document(3), 3)
    subscribers.deliver(document(4), 4)
    assert one.writes() == [whole(1), difference(1, 2), difference(2, 3), difference(3, 4)]
    assert two.writes() == [whole(3), difference(3, 4)]
    assert len(plain.writes()) == 4


async def test_after_bytes_that_are_no_json_there_is_no_difference() -> None:
    """A publication after binary data is complete, because JSON clients get binary data in another form."""
    one = Listener()
    subscribers = FanOut("a", ChannelOptions(delta=True))
    subscribers.add(one, delta=True, receives_join_leave=False)
    subscribers.deliver(document(1), 1)
    subscribers.deliver(Content(b"\xff", binary=True), 2)
    subscribers.deliver(document(3), 3)
    assert one.writes() == [whole(1), ['"/w=="'], whole(3)]


async def test_who_was_ahead_gets_the_next_one_whole() -> None:
    """A subscriber that skipped a publication gets the next one complete."""
    one, two = Listener(), Listener()
    subscribers = FanOut("a", ChannelOptions(delta=True))
    subscribers.add(one, delta=True, receives_join_leave=False)
    subscribers.deliver(document(1), 1)
    subscribers.deliver(document(2), 2)
    subscribers.add(two, delta=True, receives_join_leave=False)
    subscribers.ahead[one] = 2
    subscribers.deliver(document(1), 1)
    subscribers.deliver(document(9), 0)
    subscribers.deliver(document(2), 2)
    subscribers.deliver(document(3), 3)
    subscribers.deliver(document(4), 4)
    assert one.writes() == [whole(1), difference(1, 2), whole(9), whole(3), difference(3, 4)]
    assert two.writes() == [whole(1), difference(1, 9), difference(9, 2), difference(2, 3), difference(3, 4)]


async def test_no_difference_is_made_that_nobody_takes() -> None:
    """No delta is computed when no subscriber can apply it."""
    one = Listener()
    subscribers = FanOut("a", ChannelOptions(delta=True))
    subscribers.add(one, delta=True, receives_join_leave=False)
    subscribers.deliver(document(1), 1)
    subscribers.remove(one)
    subscribers.add(one, delta=True, receives_join_leave=False)
    subscribers.deliver(document(2), 2)
    assert one.writes() == [whole(1), whole(2)]
