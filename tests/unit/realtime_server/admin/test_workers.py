"""Several workers combined into one server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.admin.worker import Report
from realtime_server.admin.workers import Workers, WorkersUnavailableError, combine, divide
from realtime_server.core.metrics.recent_events import RecentEvents
from realtime_server.core.ports.api import ProbeResult, ServingState
from realtime_server.core.ports.backplane import StoreState
from tests.unit.realtime_server.admin.control import Control, Processes, serving, status_of

SERVING, QUIESCED = ServingState.SERVING, ServingState.QUIESCED
DRAINING, DRAINED = ServingState.DRAINING, ServingState.DRAINED


class Server:
    """Workers with their control sites, some of which may be down."""

    def __init__(self, folder: Path, controls: Sequence[Control]) -> None:
        self.controls = list(controls)
        self.paths = [folder / f"{index}" for index, _ in enumerate(controls)]
        self.processes = Processes(len(controls))
        self.now = 0.0
        self.workers = Workers(self.paths, self.processes, clock=lambda: self.now)
        self._sites = [contextlib.AsyncExitStack() for _ in controls]

    async def up(self, worker: int, control: Control | None = None) -> None:
        """Start a worker."""
        self.controls[worker] = control or self.controls[worker]
        await self._sites[worker].enter_async_context(serving(self.controls[worker], self.paths[worker], worker))
        self.processes.up[worker] = True

    async def down(self, worker: int) -> None:
        """Stop a worker."""
        self.processes.up[worker] = False
        await self._sites[worker].aclose()

    @property
    def commands(self) -> list[list[str]]:
        """Return the commands that the workers got."""
        return [control.commands for control in self.controls]


@contextlib.asynccontextmanager
async def server_of(folder: Path, *controls: Control) -> AsyncIterator[Server]:
    """Return a server whose workers all run."""
    server = Server(folder, controls)
    try:
        for worker, _ in enumerate(controls):
            await server.up(worker)
        yield server
    finally:
        for worker, _ in enumerate(controls):
            await server.down(worker)
        await server.workers.close()


# adding up


def test_numbers_are_added_up() -> None:
    """Counts are summed, the latest accept counts, and the cost is the mean of the workers that know theirs."""
    one = replace(
        status_of(connections=3),
        seconds_since_last_accept=5.0,
        accept_cost_seconds=0.002,
        drain_rate=10.0,
        moved_total=1,
        recent=RecentEvents(2, 1, {"3500": 1}),
    )
    other = replace(
        status_of(connections=4),
        seconds_since_last_accept=2.0,
        accept_cost_seconds=0.004,
        drain_rate=20.0,
        moved_total=2,
        store=StoreState(50, 100, evicts=False),
        recent=RecentEvents(3, 2, {"100": 1, "3500": 2}),
    )
    silent = replace(status_of(), backplane_healthy=False, store=StoreState(60, 200, evicts=False))
    assert combine([Report(status, listening=True) for status in (one, other, silent)]) == replace(
        status_of(connections=7),
        seconds_since_last_accept=2.0,
        accept_cost_seconds=0.003,
        drain_rate=30.0,
        moved_total=3,
        backplane_healthy=False,
        store=StoreState(50, 100, evicts=False),
        recent=RecentEvents(5, 3, {"100": 1, "3500": 3}),
    )


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([SERVING, DRAINED], SERVING),
        ([QUIESCED, DRAINING], QUIESCED),
        ([DRAINED, DRAINING], DRAINING),
        ([DRAINED, DRAINED], DRAINED),
    ],
)
def test_a_server_is_as_far_as_its_last_worker(states: list[ServingState], expected: ServingState) -> None:
    """A server is drained only when all its workers are."""
    assert combine([Report(status_of(state), listening=True) for state in states]).state is expected


@pytest.mark.parametrize(("others_listen", "expected"), [(True, True), (False, False)])
def test_a_worker_that_starts_does_not_say_that_the_link_is_lost(*, others_listen: bool, expected: bool) -> None:
    """A worker that starts has not reached the backplane yet, which counts only if no worker listens."""
    starting = Report(replace(status_of(), backplane_healthy=False), listening=False)
    assert combine([Report(status_of(), listening=others_listen), starting]).backplane_healthy is expected


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.data())
def test_shares_add_up_and_nobody_gives_more_than_it_has(weights: list[int], data: st.DataObject) -> None:
    """Shares are proportional to within one."""
    total = data.draw(st.integers(0, sum(weights)))
    shares = divide(total, weights)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert 0 <= share <= weight
        assert abs(share - total * weight / max(1, sum(weights))) < 1


# asking


async def test_a_drain_is_shared(tmp_path: Path) -> None:
    """Each worker gets its share of the rate."""
    async with server_of(tmp_path, Control(), Control()) as server:
        answers = await server.workers.drain(50)
        assert server.commands == [["drain 25"], ["drain 25"]]
        assert answers.status.drain_rate == 50
        assert answers.complete


async def test_a_share_is_divided_and_changes_no_state(tmp_path: Path) -> None:
    """The last command stays what workers that come back get, and these have no share."""
    async with server_of(tmp_path, Control(), Control()) as server:
        await server.workers.quiesce()
        answers = await server.workers.set_share(5)
        assert server.commands == [["quiesce", "share 2.5"], ["quiesce", "share 2.5"]]
        assert (answers.status.share, answers.status.state) == (5, QUIESCED)
        await server.down(0)
        await server.up(0, Control())
        assert (await server.workers.status()).status.share is None
        assert server.controls[0].commands == ["quiesce"]


def test_of_durations_the_longest_counts() -> None:
    """A worker without any does not make the server's unknown."""
    slow = replace(status_of(), connect_p99_seconds=0.5, loop_lag_p99_seconds=0.1)
    quick = replace(status_of(), connect_p99_seconds=0.05)
    both = combine([Report(quick, listening=True), Report(slow, listening=True)])
    assert (both.connect_p99_seconds, both.loop_lag_p99_seconds) == (0.5, 0.1)


def test_of_probes_a_failed_one_counts_else_the_oldest() -> None:
    """As long as one of the workers has no result, the server has none, unless another one has failed."""
    good, older = (ProbeResult("", has_token=True, seconds=0.1, age_seconds=age) for age in (1.0, 2.0))
    failed = ProbeResult("100", has_token=False, seconds=0.1, age_seconds=0.5)

    def combined(*probes: ProbeResult | None) -> ProbeResult | None:
        return combine([Report(replace(status_of(), probe=probe), listening=True) for probe in probes]).probe

    assert combined(good, None) is None
    assert combined(good, older) is older
    assert combined(good, failed, older) is failed
    assert combined(failed, None) is failed


async def test_shedding_takes_from_each_what_it_has(tmp_path: Path) -> None:
    """A worker without connections gets no command, and the total is limited to the connections there are."""
    controls = [Control(status_of(connections=count)) for count in (30, 0, 10)]
    async with server_of(tmp_path, *controls) as server:
        await server.workers.shed(20, 8)
        await server.workers.shed(1000, 8)
        assert server.commands == [["shed 15 6", "shed 30 6"], [], ["shed 5 2", "shed 10 2"]]


async def test_a_worker_that_does_not_run_has_nothing(tmp_path: Path) -> None:
    """The status covers the other workers, and is incomplete."""
    async with server_of(tmp_path, Control(status_of(connections=3)), Control(status_of(connections=4))) as server:
        await server.down(0)
        answers = await server.workers.status()
        assert (answers.status.connections, answers.complete) == (4, False)
        server.processes.up[0] = True  # starting: it runs and has no socket yet
        answers = await server.workers.status()
        assert (answers.status.connections, answers.complete) == (4, False)


async def test_a_worker_that_does_not_listen_makes_the_server_incomplete(tmp_path: Path) -> None:
    """A worker that does not listen may still be connecting to the backplane."""
    async with server_of(tmp_path, Control(), Control(listening=False)) as server:
        assert not (await server.workers.status()).complete


async def test_without_any_worker_there_is_no_status(tmp_path: Path) -> None:
    """Without any worker there is no status, because zero connections would be a guess."""
    async with server_of(tmp_path, Control()) as server:
        await server.down(0)
        with pytest.raises(WorkersUnavailableError):
            await server.workers.status()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 500 No\r\n\r\n"])
async def test_a_worker_that_answers_nonsense_makes_the_status_unknown(tmp_path: Path, answer: bytes) -> None:
    """A worker that answers nonsense or ends the connection makes the status unavailable."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with server_of(tmp_path, Control(), Control()) as server:
        await server.down(1)
        server.processes.up[1] = True
        site = await asyncio.start_unix_server(serve, server.paths[1])
        with pytest.raises(WorkersUnavailableError, match="worker 1"):
            await server.workers.status()
        site.close()


# what came and went


async def test_a_worker_that_comes_back_is_told_what_the_others_were_told(tmp_path: Path) -> None:
    """A worker that comes back gets the last command once; it gets none when all serve."""
    async with server_of(tmp_path, Control(), Control()) as server:
        await server.workers.drain(50)
        await server.down(0)
        await server.up(0, Control())
        assert (await server.workers.status()).status.state is DRAINING
        assert (await server.workers.status()).status.drain_rate == 50
        assert server.controls[0].commands == ["drain 25"]
        await server.workers.resume()
        await server.down(0)
        await server.up(0, Control())
        assert (await server.workers.status()).status.state is SERVING
        assert server.controls[0].commands == []


async def test_after_a_stopped_drain_workers_come_back_quiesced(tmp_path: Path) -> None:
    """Workers that come back after a stopped drain are quiesced without draining."""
    async with server_of(tmp_path, Control(), Control()) as server:
        await server.workers.drain(50)
        await server.workers.stop_drain()
        await server.down(0)
        await server.up(0, Control())
        assert (await server.workers.status()).status.state is QUIESCED
        assert server.controls[0].commands == ["quiesce"]


@pytest.mark.parametrize(
    ("other", "commands"),
    [
        (status_of(QUIESCED), ["quiesce"]),
        (replace(status_of(DRAINING), drain_rate=5.0), ["drain 5"]),
        (status_of(SERVING), []),
    ],
)
async def test_who_knows_nothing_goes_by_what_the_workers_do(
    tmp_path: Path, other: object, commands: list[str]
) -> None:
    """An admin process that was restarted derives the last command from the other workers."""
    second = Control()
    second.now = replace(second.now, **{name: getattr(other, name) for name in ("state", "drain_rate")})
    async with server_of(tmp_path, Control(), second) as server:
        await server.workers.status()
        assert server.commands == [commands, []]


async def test_silence_is_measured(tmp_path: Path) -> None:
    """A worker that is known to be down is not silent."""
    async with server_of(tmp_path, Control(), Control()) as server:
        server.now = 100
        await server.workers.status()
        assert server.workers.silent_seconds == 0
        await server.down(0)
        server.now = 130
        await server.workers.status()
        assert server.workers.silent_seconds == 0
        server.processes.up[0] = True
        server.now = 150
        await server.workers.status()
        assert server.workers.silent_seconds == 20


async def test_metrics_come_from_all_that_answer(tmp_path: Path) -> None:
    """A worker that does not answer is left out."""
    async with server_of(tmp_path, Control(), Control()) as server:
        assert ['worker="0"' in text for text in await server.workers.metrics()] == [True, False]
        await server.down(0)
        assert ['worker="1"' in text for text in await server.workers.metrics()] == [True]


# histories


async def test_histories_are_left_to_a_worker_that_runs(tmp_path: Path) -> None:
    """Its answer is passed on, whatever it is; here it has no Redis."""
    async with server_of(tmp_path, Control(), Control()) as server:
        await server.down(0)
        async with server.workers.history("GET", {}) as answer:
            assert answer.status == 409
        await server.down(1)
        with pytest.raises(WorkersUnavailableError, match="no worker runs"):
            async with server.workers.history("GET", {}):
                pass


async def test_a_worker_that_does_not_keep_to_the_protocol_is_named(tmp_path: Path) -> None:
    """A failure before the answer is one of the server, not of its admin process."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_unix_server(hang_up, str(tmp_path / "0")):
        workers = Workers([tmp_path / "0"], Processes(1))
        with pytest.raises(WorkersUnavailableError, match="worker 0: "):
            async with workers.history("GET", {}):
                pass
        await workers.close()
