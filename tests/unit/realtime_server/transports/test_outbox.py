"""Outbox over a real socket: order, joining, bound, and data that the kernel does not take."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from realtime_server.transports import accelerated, outbox
from realtime_server.transports.outbox import GATHERED, NO_DESCRIPTOR

LIMIT = 1_000_000
TWINS = [(accelerated.Flusher, accelerated.Outbox), (outbox.Flusher, outbox.Outbox)]


class Transport:
    """Transport of the event loop that records data; `unsent` is the number of unsent bytes that it reports."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unsent = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Case:
    """Connections of one flusher, and a loop whose iterations the test runs."""

    def __init__(self, twin: tuple[type[outbox.Flusher], type[outbox.Outbox]], limit: int = LIMIT) -> None:
        self._soon: list[Callable[[], None]] = []
        self._base = twin[1]
        self._sockets: list[socket.socket] = []
        self.flusher = twin[0](self.call_soon, limit)
        self.transport = Transport()
        self.overflows = 0

    @property
    def scheduled(self) -> int:
        """Number of calls scheduled for the next iteration."""
        return len(self._soon)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Schedule a call as the loop does."""
        self._soon.append(call)

    def turn(self) -> None:
        """Run one iteration."""
        soon, self._soon[:] = list(self._soon), []
        for call in soon:
            call()

    def connection(self) -> outbox.Outbox:
        """Return a connection that has not begun."""
        case = self

        class Connection(self._base):  # type: ignore[name-defined,misc] # one of two classes
            __slots__ = ("__weakref__",)

            def on_overflow(self) -> None:
                case.overflows += 1

        return cast("outbox.Outbox", Connection(self.flusher))

    def connected(self) -> tuple[outbox.Outbox, socket.socket]:
        """Return a connection to a real socket, and its peer."""
        near, far = socket.socketpair()
        self._sockets += [near, far]
        near.setblocking(False)
        far.setblocking(False)
        made = self.connection()
        made.begin(self.transport, near.fileno())
        return made, far

    def close(self) -> None:
        for one in self._sockets:
            one.close()


@pytest.fixture(params=TWINS, ids=["native", "python"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    made = Case(request.param)
    yield made
    made.close()


@pytest.fixture(params=TWINS, ids=["native", "python"])
def small(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Return a case with a limit of ten bytes."""
    made = Case(request.param, 10)
    yield made
    made.close()


def test_writes_of_one_turn_are_joined(case: Case) -> None:
    """They are sent in the next iteration, in order."""
    one, far = case.connected()
    one.write(b"a")
    one.write(b"b")
    assert (case.scheduled, case.flusher.bytes_waiting) == (1, 2)
    case.turn()
    assert far.recv(10) == b"ab"
    assert (case.flusher.messages_sent, case.flusher.bytes_sent, case.flusher.bytes_waiting) == (2, 2, 0)
    assert case.transport.written == []


def test_what_was_written_and_what_waits_is_counted(case: Case) -> None:
    """Counts are per connection; writes after the stop do not count."""
    one, _ = case.connected()
    assert (one.written_bytes, one.waiting) == (0, 0)
    one.write(b"abc")
    one.write(b"de")
    assert (one.written_bytes, one.waiting) == (5, 5)
    case.turn()
    one.write(b"f")
    assert (one.written_bytes, one.waiting) == (6, 1)
    one.stop()
    one.write(b"g")
    assert (one.written_bytes, one.waiting) == (6, 0)


def test_one_turn_sends_for_all_connections(case: Case) -> None:
    """One call is scheduled for all."""
    both = [case.connected() for _ in range(2)]
    for one, _ in both:
        one.write(b"x")
    assert case.scheduled == 1
    case.turn()
    assert [far.recv(10) for _, far in both] == [b"x", b"x"]
    both[0][0].write(b"y")
    assert case.scheduled == 1
    case.turn()
    assert both[0][1].recv(10) == b"y"


@pytest.mark.parametrize("count", [1, 2, GATHERED, GATHERED + 1, 3 * GATHERED])
def test_any_number_of_writes_arrives_whole(case: Case, count: int) -> None:
    """The order holds however writes are passed to the kernel."""
    one, far = case.connected()
    frames = [b"%d," % number for number in range(count)]
    for frame in frames:
        one.write(frame)
    case.turn()
    assert far.recv(100_000) == b"".join(frames)


def test_what_the_kernel_does_not_take_goes_to_the_transport(case: Case) -> None:
    """No byte is lost or doubled at the transition."""
    one, far = case.connected()
    sent = [bytes([number]) * 400_000 for number in range(2)]
    for frame in sent:
        one.write(frame)
    case.turn()
    received = b""
    while len(received) + len(case.transport.written[0]) < 800_000:
        received += far.recv(1_000_000)
    assert len(case.transport.written) == 1
    assert received
    assert received + case.transport.written[0] == b"".join(sent)


def test_what_the_transport_has_not_sent_goes_first(case: Case) -> None:
    """Afterwards data goes to the kernel again."""
    one, far = case.connected()
    case.transport.unsent = 7
    one.write(b"a")
    case.turn()
    assert case.transport.written == [b"a"]
    case.transport.unsent = 0
    one.write(b"b")
    case.turn()
    assert far.recv(10) == b"b"
    assert case.transport.written == [b"a"]


def test_without_a_descriptor_the_transport_gets_everything(case: Case) -> None:
    """TLS needs to see every byte."""
    one = case.connection()
    one.begin(case.transport, NO_DESCRIPTOR)
    one.write(b"a")
    one.write(b"b")
    case.turn()
    assert case.transport.written == [b"ab"]


def test_a_broken_socket_is_left_to_the_transport(case: Case) -> None:
    """The loop notices and reports the error."""
    one, far = case.connected()
    far.close()
    one.write(b"a")
    case.turn()
    assert case.transport.written == [b"a"]


def test_what_is_written_before_the_beginning_waits(case: Case) -> None:
    """It is sent with the first flush."""
    near, far = socket.socketpair()
    with near, far:
        one = case.connection()
        one.write(b"a")
        assert (case.scheduled, case.flusher.bytes_waiting) == (0, 1)
        one.begin(case.transport, near.fileno())
        one.flush()
        assert far.recv(10) == b"a"


def test_after_the_stop_nothing_is_sent(case: Case) -> None:
    """Waiting data is dropped, and further writes are ignored; a second stop has no effect."""
    one, far = case.connected()
    one.write(b"a")
    one.stop()
    one.stop()
    one.write(b"b")
    case.turn()
    one.flush()
    with pytest.raises(BlockingIOError):
        far.recv(10)
    assert one.stopped
    assert case.flusher.bytes_waiting == 0
    assert case.transport.written == []


def test_the_bound_is_for_what_waits(small: Case) -> None:
    """One byte above the limit stops the outbox, drops its data, and is reported once."""
    one, far = small.connected()
    small.transport.unsent = 1
    one.write(b"12345")
    one.write(b"6789")
    assert small.overflows == 0
    one.write(b"x")
    one.write(b"y")
    assert (small.overflows, one.stopped, small.flusher.bytes_waiting) == (1, True, 0)
    small.turn()
    with pytest.raises(BlockingIOError):
        far.recv(10)


def test_a_burst_goes_to_the_kernel_before_it_counts_as_too_much(small: Case) -> None:
    """Much data at once does not make a reader slow."""
    one, far = small.connected()
    for _ in range(5):
        one.write(b"12345")
    small.turn()
    assert far.recv(100) == b"12345" * 5
    assert (small.overflows, small.flusher.bytes_waiting) == (0, 0)


def test_what_the_transport_has_not_sent_counts_towards_the_bound(small: Case) -> None:
    one, _ = small.connected()
    small.transport.unsent = 8
    one.write(b"ab")
    assert small.overflows == 0
    small.turn()
    one.write(b"abc")
    assert small.overflows == 1


def test_a_failure_does_not_keep_others_from_being_sent(case: Case) -> None:
    """The error is raised after all were flushed."""

    class Broken(Transport):
        def write(self, data: bytes) -> None:
            raise RuntimeError(f"closed, {data!r} is lost")

    broken = case.connection()
    broken.begin(Broken(), NO_DESCRIPTOR)
    one, far = case.connected()
    broken.write(b"a")
    one.write(b"b")
    with pytest.raises(RuntimeError, match="closed"):
        case.turn()
    assert far.recv(10) == b"b"


def test_whoever_does_not_say_what_follows_an_overflow_is_told(small: Case) -> None:
    """The base class raises NotImplementedError."""
    for flusher, base in TWINS:
        bare = base(flusher(small.call_soon, 1))
        with pytest.raises(NotImplementedError):
            bare.write(b"ab")
    assert small.overflows == 0


def test_it_is_collected_in_a_cycle(case: Case) -> None:
    """A connection and its transport refer to each other."""
    one, _ = case.connected()
    case.transport.written.append(one)  # type: ignore[arg-type] # a cycle
    one.write(b"a")
    case.turn()
    gone = weakref.ref(one)
    case.transport = Transport()
    del one
    gc.collect()
    assert gone() is None
