"""`demo`: demonstrates a rollout without losses on this machine, in seconds."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from realtime_operator import log

FAILED = 1


def demo(
    clients: Annotated[int, typer.Option("--clients", min=1, max=2000, help="Number of SDK clients to connect.")] = 200,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="Publications per second.")] = 10,
) -> None:
    """Start a cluster on this machine, connect clients, publish, replace all servers, and count lost messages.

    Everything is in a temporary folder and ends with the command. The exit code is 1 if a message was lost or
    duplicated.

    Examples:
      realtime demo
      realtime demo --clients 500

    """
    from realtime_operator.cli.demonstration import demonstrate

    log.configure("error", "text")
    if not asyncio.run(demonstrate(clients, rate)):
        raise typer.Exit(FAILED)
