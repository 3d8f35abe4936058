"""Asks between workers: each ends in one way, at both of them, whatever is lost and whoever dies."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.control import messages
from realtime_server.core.control.asks import Asks
from realtime_server.core.control.peers import ANNOUNCE_SECONDS, FORGET_AFTER, Peers
from realtime_server.core.model.errors import (
    AskFailedError,
    BackplaneError,
    TooManyAsksError,
    UnknownNameError,
    UnknownNodeError,
)
from realtime_server.core.ports.api import NodeInfo
from realtime_server.core.tasks import TaskGroup
from tests.kit.server_doubles import Clock

LONG = 1000.0
ANSWER_BYTES = 10


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(8):
        await asyncio.sleep(0)


class Network:
    """Backplane whose messages wait until they are passed on or lost."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.waiting: list[tuple[messages.Message, str]] = []
        self.workers: dict[str, Worker] = {}
        self.broken = False

    async def send(self, message: messages.Message, worker: str) -> None:
        """Keep a message until `deliver`. Raises BackplaneError while the network is broken."""
        if self.broken:
            raise BackplaneError
        self.waiting.append((message, worker))

    async def deliver(self) -> None:
        """Pass on all messages, and those that follow from them."""
        await settle()
        while self.waiting:
            await self.deliver_next()

    async def deliver_next(self) -> None:
        """Pass on the oldest message, if there is one and its worker lives."""
        if self.waiting:
            message, to = self.waiting.pop(0)
            decoded = messages.decode(messages.encode(message))
            assert isinstance(decoded, messages.Ask | messages.WithdrawAsk | messages.Answer)
            if to in self.workers:
                self.workers[to].asks.take(decoded)
            await settle()

    def announce(self) -> None:
        """Let the living workers hear of each other."""
        for worker in self.workers.values():
            for uid in self.workers:
                worker.peers.note(NodeInfo(uid, uid, "0", 0, 0, 0, 0))

    def pass_time(self) -> None:
        """Let as much time pass as makes a worker forgotten that does not announce itself."""
        self.clock.now += ANNOUNCE_SECONDS * (FORGET_AFTER + 1)
        self.announce()
        for worker in self.workers.values():
            worker.asks.check()


class Worker:
    """Worker that answers asks for `name` when the test says so."""

    def __init__(self, network: Network, uid: str, max_asks: int = 100) -> None:
        self.tasks = TaskGroup(self._fail)
        self.peers = Peers(network.clock)
        self.asks = Asks(uid, self.peers, self.tasks, send=network.send, answer_bytes=ANSWER_BYTES, max_asks=max_asks)
        self.asked: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.pending: dict[bytes, asyncio.Future[bytes]] = {}
        self.asks.serve("name", self.answer)
        network.workers[uid] = self

    def _fail(self) -> None:
        raise AssertionError("a task failed")

    async def answer(self, request: bytes) -> bytes:
        """Wait for the test's answer."""
        self.asked.append(request)
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.pending[request] = waiting
        try:
            return await waiting
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        finally:
            del self.pending[request]


@pytest.fixture
def network() -> Network:
    """Return a network with the workers one and other."""
    made = Network()
    for uid in ("one", "other"):
        Worker(made, uid)
    made.announce()
    return made


def ask(network: Network, request: bytes = b"q", *, to: str = "other", name: str = "name", timeout: float = LONG) -> asyncio.Task[bytes]:  # fmt: skip  # noqa: E501
    """Let the worker one ask."""
    return asyncio.create_task(network.workers["one"].asks.ask(to, name, request, timeout=timeout))


@pytest.mark.parametrize("to", ["one", "other"])
async def test_the_holder_answers(network: Network, to: str) -> None:
    """Whether it is another worker or the one that was reached; several asks at a time, and in any order."""
    asks = [ask(network, request, to=to) for request in (b"1", b"2")]
    await network.deliver()
    holder = network.workers[to]
    assert holder.asked == [b"1", b"2"]
    holder.pending[b"2"].set_result(b"two")
    holder.pending[b"1"].set_result(b"\x00one")
    await network.deliver()
    assert [await each for each in asks] == [b"\x00one", b"two"]
    assert holder.cancelled == []


@pytest.mark.parametrize("to", ["one", "other"])
async def test_a_name_that_nobody_holds_is_told_from_a_worker_that_is_gone(network: Network, to: str) -> None:
    """The client of the first opens a new session; so does that of the second, elsewhere."""
    network.workers[to].asks.end("name")
    unheld, unknown = ask(network, to=to), ask(network, to="nobody")
    network.clock.now += LONG
    network.announce()
    gone = ask(network, to="nobody")
    await network.deliver()
    with pytest.raises(UnknownNameError):
        await unheld
    with pytest.raises(UnknownNodeError, match="nobody"):
        await gone
    network.pass_time()
    with pytest.raises(UnknownNodeError, match="nobody"):
        await unknown


@pytest.mark.parametrize("to", ["one", "other"])
async def test_a_client_that_leaves_frees_the_poll_at_the_holder(network: Network, to: str) -> None:
    """The handler is cancelled, and may be asked again."""
    first = ask(network, to=to)
    await network.deliver()
    first.cancel()
    await network.deliver()
    holder = network.workers[to]
    assert holder.cancelled == [b"q"]
    second = ask(network, to=to)
    await network.deliver()
    holder.pending[b"q"].set_result(b"a")
    await network.deliver()
    assert await second == b"a"


@pytest.mark.parametrize("to", ["one", "other"])
async def test_nobody_waits_longer_than_the_time_limit(network: Network, to: str) -> None:
    """Nor does the handler, even when it is not told."""
    with pytest.raises(TimeoutError):
        await ask(network, to=to, timeout=0.01)
    await settle()
    del network.waiting[1:]  # the withdrawal is lost
    await network.deliver()
    holder = network.workers[to]
    while holder.pending:  # noqa: ASYNC110 - its time limit ends just after ours
        await asyncio.sleep(0.001)
    assert holder.cancelled == [b"q"]


@pytest.mark.parametrize("to", ["one", "other"])
@pytest.mark.parametrize("too_large", [False, True])
async def test_a_handler_that_fails_is_reported_where_it_runs(network: Network, to: str, *, too_large: bool) -> None:
    """The asker learns that it failed; neither worker is broken."""
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context["message"]))
    failing = ask(network, to=to)
    await network.deliver()
    pending = network.workers[to].pending[b"q"]
    if too_large:
        pending.set_result(b"a" * (ANSWER_BYTES + 1))
    else:
        pending.set_exception(ValueError("no"))
    await network.deliver()
    with pytest.raises(AskFailedError):
        await failing
    assert len(reports) == 1


async def test_open_asks_are_bounded_at_both_ends(network: Network) -> None:
    """Whoever has too many refuses further ones, and goes on with the others."""
    Worker(network, "small", max_asks=1)
    network.announce()
    taken, refused = ask(network, b"1", to="small"), ask(network, b"2", to="small")
    await network.deliver()
    with pytest.raises(TooManyAsksError):
        await refused
    small = network.workers["small"]
    own = asyncio.create_task(small.asks.ask("other", "name", b"3", timeout=LONG))
    await network.deliver()
    with pytest.raises(TooManyAsksError):
        await small.asks.ask("other", "name", b"4", timeout=LONG)
    small.pending[b"1"].set_result(b"a")
    network.workers["other"].pending[b"3"].set_result(b"b")
    await network.deliver()
    assert (await taken, await own) == (b"a", b"b")
    again = asyncio.create_task(small.asks.ask("other", "name", b"4", timeout=LONG))
    await network.deliver()
    network.workers["other"].pending[b"4"].set_result(b"c")
    await network.deliver()
    assert await again == b"c"


async def test_a_holder_that_dies_is_noticed(network: Network) -> None:
    """As soon as its announcements are missed."""
    lost = ask(network)
    await network.deliver()
    del network.workers["other"]
    network.pass_time()
    with pytest.raises(UnknownNodeError, match="other"):
        await lost


async def test_a_holder_that_says_good_bye_is_not_waited_for(network: Network) -> None:
    """Nor asked again."""
    lost = ask(network)
    await network.deliver()
    one = network.workers["one"]
    one.peers.forget("other")
    one.asks.check()
    with pytest.raises(UnknownNodeError, match="other"):
        await lost
    with pytest.raises(UnknownNodeError, match="other"):
        await ask(network)


async def test_an_asker_that_dies_frees_the_poll(network: Network) -> None:
    """One that was not heard of yet, because it has just started, is not taken for dead."""
    mute = ask(network)
    await network.deliver()
    one = network.workers.pop("one")
    holder = network.workers["other"]
    network.pass_time()
    await settle()
    assert holder.cancelled == [b"q"]
    mute.cancel()
    await one.tasks.cancel()
    network.waiting.clear()
    holder.asks.take(messages.Ask("id", "new", "name", b"new", LONG))
    await settle()
    network.pass_time()
    await settle()
    assert list(holder.pending) == [b"new"]
    await holder.tasks.cancel()


async def test_a_lost_backplane_ends_asks_at_once(network: Network) -> None:
    """The answer may have been published meanwhile; the holder frees the poll as soon as it can be told."""
    cut = ask(network)
    await network.deliver()
    network.workers["one"].asks.note_gap()
    with pytest.raises(BackplaneError):
        await cut
    await network.deliver()
    assert network.workers["other"].cancelled == [b"q"]
    network.broken = True
    with pytest.raises(BackplaneError):
        await ask(network)


async def test_a_holder_that_lost_the_backplane_gives_up(network: Network) -> None:
    """The asker may have withdrawn unheard; if it has not, it is told."""
    told, unheard = ask(network, b"told"), ask(network, b"unheard")
    await network.deliver()
    unheard.cancel()
    await settle()
    network.waiting.clear()
    holder = network.workers["other"]
    holder.asks.note_gap()
    await network.deliver()
    with pytest.raises(BackplaneError):
        await told
    assert holder.cancelled == [b"told", b"unheard"]


async def test_an_answer_is_sent_again_until_the_backplane_is_back(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages in it were taken from the session, and cannot be taken twice."""
    monkeypatch.setattr("realtime_server.core.control.asks.RETRY_SECONDS", 0)
    patient = ask(network)
    await network.deliver()
    network.broken = True
    network.workers["other"].pending[b"q"].set_result(b"a")
    await settle()
    network.workers["other"].asks.note_gap()
    network.broken = False
    await network.deliver()
    assert await patient == b"a"


async def test_an_ask_that_arrives_twice_is_answered_once(network: Network) -> None:
    """Nothing of the kind is known of Redis, but a poll must not be answered to nobody."""
    single = ask(network)
    await settle()
    network.waiting *= 2
    await network.deliver()
    holder = network.workers["other"]
    assert holder.asked == [b"q"]
    holder.pending[b"q"].set_result(b"a")
    await network.deliver()
    assert await single == b"a"


class History:
    """What happened to the asks of worker one at the worker other."""

    def __init__(self) -> None:
        self.network = Network()
        self.one, self.other = (Worker(self.network, uid) for uid in ("one", "other"))
        self.network.announce()
        self.asks: dict[bytes, asyncio.Task[bytes]] = {}
        self.has_lost = False

    async def ask(self, _number: int) -> None:
        """Make an ask."""
        request = b"%d" % len(self.asks)
        self.asks[request] = ask(self.network, request)

    async def answer(self, number: int) -> None:
        """Answer one of the asks that have arrived; the answer names it."""
        pending = [(request, waiting) for request, waiting in self.other.pending.items() if not waiting.done()]
        if pending:
            request, waiting = pending[number % len(pending)]
            waiting.set_result(b"a" + request)

    async def cancel(self, number: int) -> None:
        """Cancel one of the asks."""
        if self.asks:
            list(self.asks.values())[number % len(self.asks)].cancel()

    async def deliver(self, _number: int) -> None:
        """Deliver one message."""
        await self.network.deliver_next()

    async def lose(self, number: int) -> None:
        """Lose one message."""
        if self.network.waiting:
            self.has_lost = True
            self.network.waiting.pop(number % len(self.network.waiting))

    async def gap(self, number: int) -> None:
        """Let one of them lose its connection for a moment."""
        (self.one, self.other)[number % 2].asks.note_gap()

    async def end(self) -> None:
        """Deliver everything; a backplane that has lost something says so to both. Answer what is not over by that."""
        await self.network.deliver()
        if self.has_lost:
            for worker in (self.one, self.other):
                worker.asks.note_gap()
                await self.network.deliver()
            assert self.other.pending == {}
        while any(not waiting.done() for waiting in self.other.pending.values()):
            await self.answer(0)
        await self.network.deliver()


KINDS = ("ask", "ask", "answer", "cancel", "deliver", "deliver", "lose", "gap")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9)), max_size=25)


@given(STEPS)
def test_every_ask_ends_at_both_workers(steps: list[tuple[str, int]]) -> None:
    """Whatever is cancelled, answered, lost or cut, in whatever order; an answer is that of its own ask."""

    async def run() -> None:
        history = History()
        for kind, number in steps:
            await getattr(history, kind)(number)
            await settle()
        await history.end()
        for request, task in history.asks.items():
            assert task.done()
            if not task.cancelled() and task.exception() is None:
                assert task.result() == b"a" + request
        assert history.other.pending == {}
        assert (history.one.asks._open, history.other.asks._served) == ({}, {})

    asyncio.run(run())
