"""Delivery to the subscribers of a channel: together, in order, whole or as differences."""

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
from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from tests.kit.server_doubles import WIRE, RecordingConnection

OTHER_WIRE = JsonCodec(lambda message: message)
BOB = JoinPush(ClientInfo("bob", "c2"))
DOCUMENT = b'{"text":"a document that changes in one place only","number":%d}'


@dataclass(eq=False)
class Listener:
    """Implements Subscriber: keeps what it gets."""

    codec: Codec = WIRE
    recorder: RecordingConnection = field(default_factory=RecordingConnection)
    connection: Connection = field(init=False)
    slow: bool = False
    held: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """What is written is kept."""
        self.connection = self.recorder

    def info_in(self, channel: str) -> ClientInfo | None:
        """Not needed here."""
        raise NotImplementedError(channel)

    def emits_join_leave(self, channel: str) -> bool:
        """Not needed here."""
        raise NotImplementedError(channel)

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """Not needed here."""
        raise NotImplementedError(channel, code)

    def lags(self) -> bool:
        """As the test wants it."""
        return self.slow

    def hold(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Keep the number and the offset."""
        assert (channel, policy) == ("a", SlowConsumer.DROP_OLDEST)
        self.held.append((int(content.data), offset))

    def writes(self) -> list[list[object]]:
        """Each write since the last time: the data of its publications, or what else it was."""
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
    """A publication."""
    return Content(b"%d" % value)


def fan_out(options: ChannelOptions, *listeners: Listener) -> FanOut:
    """The subscribers of the channel `a`."""
    made = FanOut("a", options)
    for listener in listeners:
        made.add(listener, delta=False, receives_join_leave=False)
    return made


# write delay


async def test_what_is_published_within_the_delay_is_one_write() -> None:
    """For each subscriber, in order, when the time is over; the next one waits anew."""
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
    """Each publication is a write of its own; the transport joins those of one turn."""
    one = Listener()
    subscribers = fan_out(ChannelOptions(), one)
    subscribers.deliver(number(1), 1)
    assert one.writes() == [[1]]


async def test_what_waits_goes_before_whatever_else_happens() -> None:
    """A new subscriber does not get it, a watcher gets it before the news, and flush sends it once."""
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


async def test_who_has_left_gets_nothing_of_what_waits() -> None:
    """And nothing is left of it."""
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
    """Up to where it was, it has everything; and then it is as any other."""
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
    """Of what it has already, nothing is held."""
    slow, fast = Listener(slow=True), Listener()
    subscribers = fan_out(ChannelOptions(slow_consumer=SlowConsumer.DROP_OLDEST), slow, fast)
    subscribers.ahead[slow] = 1
    for value in (1, 2):
        subscribers.deliver(number(value), value)
    assert (slow.held, slow.writes(), fast.writes()) == ([(2, 2)], [], [[1], [2]])


async def test_where_nothing_may_be_dropped_a_slow_subscriber_is_written_to() -> None:
    """Its outbox has a bound."""
    slow = Listener(slow=True)
    fan_out(ChannelOptions(), slow).deliver(number(1), 1)
    assert (slow.held, slow.writes()) == ([], [[1]])


# who joins and leaves


async def test_only_watchers_are_told_who_joins() -> None:
    """Of each protocol in its own words."""
    one, two, three = Listener(), Listener(), Listener(OTHER_WIRE)
    subscribers = FanOut("a", ChannelOptions(join_leave=True))
    for listener, receives_join_leave in ((one, True), (two, False), (three, True)):
        subscribers.add(listener, delta=False, receives_join_leave=receives_join_leave)
    subscribers.announce(BOB)
    assert (one.writes(), two.writes(), three.writes()) == ([["join"]], [], [["join"]])


# differences


def document(value: int) -> Content:
    """A document that changes a little."""
    return Content(DOCUMENT % value)


def whole(value: int) -> list[object]:
    """What a subscriber of differences gets as a whole."""
    return [(DOCUMENT % value).decode()]


def difference(before: int, after: int) -> list[object]:
    """What it gets as a difference."""
    made = delta.patch(DOCUMENT % before, DOCUMENT % after)
    assert made is not None
    return [made.decode()]


async def test_the_first_is_whole_and_the_next_are_differences() -> None:
    """For each subscriber from when it came; who did not ask gets documents."""
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
    """The JSON protocol has them in another form."""
    one = Listener()
    subscribers = FanOut("a", ChannelOptions(delta=True))
    subscribers.add(one, delta=True, receives_join_leave=False)
    subscribers.deliver(document(1), 1)
    subscribers.deliver(Content(b"\xff", binary=True), 2)
    subscribers.deliver(document(3), 3)
    assert one.writes() == [whole(1), ['"/w=="'], whole(3)]


async def test_who_was_ahead_gets_the_next_one_whole() -> None:
    """It skipped what the others got, so the difference is to something else than it has."""
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
    """To one who came when nobody was here, all is new."""
    one = Listener()
    subscribers = FanOut("a", ChannelOptions(delta=True))
    subscribers.add(one, delta=True, receives_join_leave=False)
    subscribers.deliver(document(1), 1)
    subscribers.remove(one)
    subscribers.add(one, delta=True, receives_join_leave=False)
    subscribers.deliver(document(2), 2)
    assert one.writes() == [whole(1), whole(2)]
