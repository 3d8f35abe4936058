"""Measurement of one operator on one API server: memory and requests after it has settled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.kit.apiserver import ApiServer
from tests.kit.audit import AuditLog, Call
from tests.kit.operator_process import OperatorProcess

from bench.operator.builds import Build
from bench.operator.load import CLUSTERS_NAMESPACE, all_accepted, run_redis

READY_SECONDS = 120
SETTLE_SECONDS = 180
QUIET_SECONDS = 10.0
"""Seconds without writes except to its Lease after which an operator counts as settled."""
LEASES = "leases"


@dataclass(frozen=True, slots=True)
class Measured:
    """Consumption of one operator: bytes of memory, and requests in `seconds` by verb, those for its Lease included."""

    build: str
    resident: int
    peak: int
    seconds: float
    requests: Mapping[str, int]

    @property
    def reads_per_minute(self) -> float:
        """Reading requests per minute."""
        reads = sum(count for verb, count in self.requests.items() if verb in {"get", "list", "watch"})
        return reads * 60 / self.seconds


class NeverSettledError(Exception):
    """The operator does not stop writing; the message has the latest writes."""


async def measure(server: ApiServer, build: Build, user: str, seconds: float) -> Measured:
    """Run the operator until its clusters are settled, measure it for `seconds`, and stop it."""
    log = AuditLog(server.audit_log)
    async with OperatorProcess(server, CLUSTERS_NAMESPACE, build.program, user) as operator:
        await operator.wait_ready(READY_SECONDS)
        await _settle(server, log, user)
        log.skip()
        await asyncio.sleep(seconds)
        requests = Counter(call.verb for call in log.calls_of(user))
        resident, peak = operator.memory()
    return Measured(build.name, resident, peak, seconds, requests)


async def _settle(server: ApiServer, log: AuditLog, user: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    quiet_since = loop.time()
    log.skip()
    while loop.time() - quiet_since < QUIET_SECONDS or not await asyncio.to_thread(all_accepted, server):
        await asyncio.sleep(1)
        written = [call for call in log.calls_of(user) if _counts(call)]
        log.skip()
        if await asyncio.to_thread(run_redis, server) or written:
            quiet_since = loop.time()
        if loop.time() > deadline:
            raise NeverSettledError(f"after {SETTLE_SECONDS} s {user} still writes, or refuses clusters: {written}")


def _counts(call: Call) -> bool:
    return call.writes and call.resource != LEASES
