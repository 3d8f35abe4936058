"""All workers of a server as one: calls each over its socket and combines the answers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec

from realtime_server.admin.worker import DrainRequest, Report, ShareRequest, ShedRequest, decode_report
from realtime_server.core.metrics.recent_events import OTHER, RecentEvents
from realtime_server.core.metrics.totals import Totals
from realtime_server.core.ports.api import ProbeResult, ServingState, WorkerStatus

CALL_SECONDS = 2.0
HISTORY_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_read=60.0)
NOT_THERE = (errno.ENOENT, errno.ECONNREFUSED)
ORDER = (ServingState.SERVING, ServingState.QUIESCED, ServingState.DRAINING, ServingState.DRAINED)
"""States of a server, from taking new clients to ready to be stopped."""


class WorkersUnavailableError(Exception):
    """Failure of a server-wide call: no worker runs, or one that runs does not answer."""


class Running(Protocol):
    """Source of which workers' processes run."""

    def running(self, worker: int) -> bool:
        """Return True while the process of this worker runs."""


@dataclass(frozen=True, slots=True)
class Command:
    """Command to a worker: the name of its route and the body."""

    name: str
    body: DrainRequest | ShareRequest | ShedRequest | None = None


SERVE, QUIESCE = Command("resume"), Command("quiesce")


@dataclass(frozen=True, slots=True)
class Answers:
    """Combined answers of the workers. `complete`: all of them run, answer and listen for clients."""

    status: WorkerStatus
    complete: bool


def combine(reports: Sequence[Report]) -> WorkerStatus:
    """Combine the workers' reports into the status of the server.

    Counts are summed, the most recent accept counts, of durations the longest, and the state is that of the worker
    nearest to serving. There is a share if every worker has one. The health of the backplane is that of the listening
    workers, if there are any: a worker that starts has not reached the backplane yet.
    """
    statuses = [report.status for report in reports]
    linked = [report.status for report in reports if report.listening] or statuses
    accepts = [s.seconds_since_last_accept for s in statuses if s.seconds_since_last_accept is not None]
    costs = [s.accept_cost_seconds for s in statuses if s.accept_cost_seconds is not None]
    rates = [s.drain_rate for s in statuses if s.drain_rate is not None]
    stores = [s.store for s in statuses if s.store is not None]
    shares = [s.share for s in statuses if s.share is not None]
    connects = [s.connect_p99_seconds for s in statuses if s.connect_p99_seconds is not None]
    lags = [s.loop_lag_p99_seconds for s in statuses if s.loop_lag_p99_seconds is not None]
    return WorkerStatus(
        state=min((s.state for s in statuses), key=ORDER.index),
        connections=sum(s.connections for s in statuses),
        accepted_total=sum(s.accepted_total for s in statuses),
        seconds_since_last_accept=min(accepts, default=None),
        accept_cost_seconds=sum(costs) / len(costs) if costs else None,
        drain_rate=sum(rates) if rates else None,
        moved_total=sum(s.moved_total for s in statuses),
        backplane_healthy=all(s.backplane_healthy for s in linked),
        store=max(stores, key=lambda store: store.used_part, default=None),
        recent=RecentEvents.combine(s.recent for s in statuses),
        share=sum(shares) if len(shares) == len(statuses) else None,
        connect_p99_seconds=max(connects, default=None),
        loop_lag_p99_seconds=max(lags, default=None),
        totals=Totals.combine(s.totals for s in statuses),
        probe=_worst([s.probe for s in statuses]),
    )


def _worst(probes: Sequence[ProbeResult | None]) -> ProbeResult | None:
    """Return the first result of a failed probe, else the oldest; None while one of the workers has none."""
    known = [probe for probe in probes if probe is not None]
    failed = next((probe for probe in known if probe.code not in {"", OTHER}), None)
    if failed is not None or len(known) < len(probes):
        return failed
    return max(known, key=lambda probe: probe.age_seconds, default=None)


class Workers:
    """Client for the control sockets of all workers.

    A worker that is not running has no connections and is left out. When it is back it receives the last command of the
    others, so that it does not serve while they drain. Every call raises WorkersUnavailableError.
    """

    def __init__(
        self, sockets: Sequence[Path], running: Running, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._running = running
        self._clock = clock
        self._answered_at = [clock()] * len(sockets)
        self._wanted: Command | None = None
        self._sessions = [
            # A new connection per call: a kept one may lead to a worker that has died since.
            aiohttp.ClientSession(
                "http://worker", connector=aiohttp.UnixConnector(str(path), force_close=True), timeout=timeout
            )
            for path in sockets
        ]

    def __len__(self) -> int:
        """Number of workers, running or not."""
        return len(self._sessions)

    async def close(self) -> None:
        """Close the HTTP sessions of all workers."""
        for session in self._sessions:
            await session.close()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last answer of the worker that has been silent longest.

        A worker that does not run does not count as silent.
        """
        return self._clock() - min(self._answered_at)

    async def status(self) -> Answers:
        """Return the combined status; workers that have come back are sent the last command first."""
        reports = await self._each([None] * len(self))
        return self._answers(await self._catch_up(reports))

    async def resume(self) -> Answers:
        """Let all workers serve again."""
        return await self._tell(SERVE)

    async def quiesce(self) -> Answers:
        """Quiesce all workers."""
        return await self._tell(QUIESCE)

    async def stop_drain(self) -> Answers:
        """Stop moving connections; all workers stay quiesced."""
        return self._answers(await self._each([Command("stop-drain")] * len(self)), QUIESCE)

    async def drain(self, connections_per_second: float) -> Answers:
        """Drain all workers, each at an equal share of the rate."""
        return await self._tell(Command("drain", DrainRequest(connections_per_second / len(self))))

    async def set_share(self, connections_per_second: float) -> Answers:
        """Tell all workers the rate at which drains begin, each an equal part of it."""
        share = Command("share", ShareRequest(connections_per_second / len(self)))
        return self._answers(await self._each([share] * len(self)))

    async def probe(self) -> Answers:
        """Start a probe of every worker."""
        return self._answers(await self._each([Command("probe")] * len(self)))

    async def shed(self, connections: int, connections_per_second: float) -> Answers:
        """Move this many connections, divided over the workers in proportion to what each holds."""
        reports = await self._each([None] * len(self))
        held = [0 if report is None else report.status.connections for report in reports]
        shares = divide(min(connections, sum(held)), held)
        rate, total = connections_per_second, max(1, sum(shares))
        commands = [Command("shed", ShedRequest(share, rate * share / total)) if share else None for share in shares]
        return self._answers(await self._each(commands))

    async def metrics(self) -> list[str]:
        """Return the metrics exposition of each worker that answers."""
        texts = await asyncio.gather(*(_get(session, "/metrics") for session in self._sessions), return_exceptions=True)
        return [text.decode() for text in texts if isinstance(text, bytes)]

    @contextlib.asynccontextmanager
    async def history(
        self, method: str, query: Mapping[str, str], body: aiohttp.StreamReader | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Export or import histories by one of the workers; yield its answer, whatever its status."""
        for worker, session in enumerate(self._sessions):
            if not self._running.running(worker):
                continue
            try:
                asked = session.request(method, "/history", params=query, data=body, timeout=HISTORY_TIMEOUT)
                response = await asked
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise WorkersUnavailableError(f"worker {worker}: {str(error) or 'no answer in time'}") from error
            async with response:
                yield response
            return
        raise WorkersUnavailableError("no worker runs")

    async def _tell(self, command: Command) -> Answers:
        self._wanted = command
        return self._answers(await self._each([command] * len(self)))

    async def _catch_up(self, reports: Sequence[Report | None]) -> Sequence[Report | None]:
        """Send the last command to workers that serve although the others do not; return the reports after that.

        Without a remembered command, as after a restart of the admin process, it is derived from the other workers'
        state.
        """
        present = [report.status for report in reports if report is not None]
        if self._wanted is None and present:
            self._wanted = _command_of(max(present, key=lambda status: ORDER.index(status.state)))
        wanted = self._wanted
        if wanted is None or wanted == SERVE:
            return reports
        late = [report is not None and report.status.state is ServingState.SERVING for report in reports]
        updated = await self._each([wanted if is_late else None for is_late in late]) if any(late) else reports
        return [new if is_late else old for new, old, is_late in zip(updated, reports, late, strict=True)]

    def _answers(self, reports: Sequence[Report | None], wanted: Command | None = None) -> Answers:
        self._wanted = wanted or self._wanted
        present = [report for report in reports if report is not None]
        if not present:
            raise WorkersUnavailableError("no worker runs")
        complete = len(present) == len(self) and all(report.listening for report in present)
        return Answers(combine(present), complete)

    async def _each(self, commands: Sequence[Command | None]) -> list[Report | None]:
        return list(await asyncio.gather(*(self._ask(worker, command) for worker, command in enumerate(commands))))

    async def _ask(self, worker: int, command: Command | None) -> Report | None:
        """Return a worker's report, after a command if one is given; None when the worker is not running."""
        if not self._running.running(worker):
            self._answered_at[worker] = self._clock()
            return None
        session = self._sessions[worker]
        try:
            body = await (_get(session, "/status") if command is None else _post(session, command))
            report = decode_report(body)
        except aiohttp.ClientConnectorError as error:
            if error.os_error.errno in NOT_THERE:
                return None
            raise WorkersUnavailableError(f"worker {worker}: {error}") from error
        except (aiohttp.ClientError, OSError, msgspec.DecodeError) as error:
            raise WorkersUnavailableError(f"worker {worker}: {str(error) or 'no answer in time'}") from error
        self._answered_at[worker] = self._clock()
        return report


def divide(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a total in proportion to weights, no share above its weight; the total is at most the sum of weights."""
    shares, weight_before, given = [], 0, 0
    whole = sum(weights)
    for weight in weights:
        weight_before += weight
        until_here = total * weight_before // whole if whole else 0
        shares.append(until_here - given)
        given = until_here
    return shares


def _command_of(status: WorkerStatus) -> Command:
    """Return the command that leads to this state."""
    if status.drain_rate is not None:
        return Command("drain", DrainRequest(status.drain_rate))
    return SERVE if status.state is ServingState.SERVING else QUIESCE


async def _get(session: aiohttp.ClientSession, path: str) -> bytes:
    async with session.get(path) as response:
        response.raise_for_status()
        return await response.read()


async def _post(session: aiohttp.ClientSession, command: Command) -> bytes:
    body = b"" if command.body is None else msgspec.json.encode(command.body)
    async with session.post(f"/{command.name}", data=body) as response:
        response.raise_for_status()
        return await response.read()
