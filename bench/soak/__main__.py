"""`python -m bench.soak --minutes 30 --output docs/performance`: a real server with Redis, churn, memory over time."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.kit.redis_process import running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

from bench import machine
from bench.soak import soak_report
from bench.soak.churn import Churn
from bench.soak.verdict import Sample, judge
from realtime_operator.api.base import JsonObject

LIMITS: JsonObject = {"connections": 20_000, "messages_per_second": 1_000}
SEED = 1


async def soak(seconds: float, every: float, clients: int) -> list[Sample]:
    """Sample the memory of a server with `clients` clients, every `every` seconds."""
    samples: list[Sample] = []
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis())
        server = ServerProcess("soak", redis, workers=1, limits=LIMITS)
        stack.enter_context(contextlib.redirect_stdout(None))  # the server's log, which it would print at its end
        with machine.on_server_core():
            await server.__aenter__()
        stack.push_async_exit(server)
        assert server.process is not None
        pids = machine.family(server.process.pid)
        churn = Churn(server.url, clients, lambda user: connection_token(TOKEN_SECRET, user), SEED)
        await stack.enter_async_context(churn)
        began = loop.time()
        for number in range(1, int(seconds / every) + 1):
            await asyncio.sleep(began + number * every - loop.time())
            churn.check()
            sample = Sample(loop.time() - began, machine.anonymous_bytes(pids), **asdict(churn.counts))
            samples.append(sample)
            print(f"{sample.at:7.0f} s: {sample.memory / 2**20:.2f} MiB, {churn.counts}", file=sys.stderr, flush=True)
    return samples


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    found = argparse.ArgumentParser(prog="bench.soak", description="Does the server's memory stay flat under churn?")
    found.add_argument("--minutes", type=float, default=30.0, help="default: 30")
    found.add_argument("--every", type=float, default=60.0, metavar="SECONDS", help="between samples (default: 60)")
    found.add_argument("--clients", type=int, default=300, help="that are there at any time (default: 300)")
    found.add_argument("--output", type=Path, help="folder for soak.md, soak.svg and soak.csv (default: print only)")
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Run the soak; return 1 when memory grows."""
    arguments = parser().parse_args(given)
    seconds = arguments.minutes * 60
    if seconds < arguments.every:
        print("error: --minutes: less than one sample; lower --every", file=sys.stderr)
        return 2
    try:
        machine.prepare()
    except machine.MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    os.sched_setaffinity(0, machine.CORES - {machine.SERVER_CORE})
    samples = asyncio.run(soak(seconds, arguments.every, arguments.clients))
    if arguments.output is not None:
        soak_report.write(arguments.output, samples, arguments.clients)
    print(soak_report.verdict(samples))
    found = judge(samples)
    return 1 if found is not None and not found.flat else 0


if __name__ == "__main__":
    sys.exit(main())
