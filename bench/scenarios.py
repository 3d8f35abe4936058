"""The scenarios: a load for each, and the servers that get it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bench.generator import Load
from bench.peers import (
    CENTRIFUGE_JOINED,
    CENTRIFUGE_REDIS,
    FLOOR,
    FLOOR_JOINED,
    OURS,
    OURS_BARE,
    OURS_ENVELOPE,
    OURS_JOINED,
    OURS_POLLING,
    OURS_REDIS,
    OURS_SOCKET_IO,
    OURS_SOCKET_IO_REDIS,
    PLAIN,
    SOCKET_IO,
    SOCKET_IO_POLLING,
    SOCKET_IO_REDIS,
)

Kind = Literal["throughput", "latency", "memory", "cost"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One section of the report; scenarios of kind `cost` share one. `rounds` is their maximum number of rounds."""

    key: str
    title: str
    kind: Kind
    counted: str
    load: Load
    peers: tuple[str, ...] = PLAIN
    reference: str = FLOOR
    rounds: int = 5
    explanation: str = ""


_JOINED = (FLOOR_JOINED, OURS_JOINED, CENTRIFUGE_JOINED)
_SOCKET_IO = (SOCKET_IO, OURS_SOCKET_IO)
_POLLING = (SOCKET_IO_POLLING, OURS_POLLING)
_COST_CLIENTS = (10, 100, 1_000, 5_000, 10_000)

_ALL = (
    Scenario(
        "fan-out-1000",
        "Fan-out to 1,000 subscribers, one publication at a time",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000),
        explanation="The next publication is sent when the last subscriber has the one before: nothing can be joined.",
    ),
    Scenario(
        "fan-out-1000-16",
        "Fan-out to 1,000 subscribers, 16 publications on their way",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000, in_flight=16),
        rounds=3,
        explanation="A server may join what one connection gets in one turn of its loop. The floor does, without "
        "waiting for more.",
    ),
    Scenario(
        "fan-out-10000",
        "Fan-out to 10,000 subscribers, one publication at a time",
        "throughput",
        "deliveries",
        Load("fan-out", 10_000, warm_up=1.0),
        rounds=3,
    ),
    Scenario(
        "fan-out-joined",
        "Fan-out to 1,000 subscribers, writes joined for 1 ms, 256 publications on their way",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000, in_flight=256, warm_up=1.0),
        _JOINED,
        FLOOR_JOINED,
    ),
    Scenario(
        "inbound",
        "Publish commands, one per read",
        "throughput",
        "commands",
        Load("inbound", 64),
        explanation="64 connections, each waits for the reply before its next command. Nobody is subscribed.",
    ),
    Scenario(
        "inbound-16",
        "Publish commands, 16 per read",
        "throughput",
        "commands",
        Load("inbound", 64, in_flight=16),
        rounds=3,
        explanation="As above, but 16 commands in one write.",
    ),
    Scenario(
        "storm-bare",
        "Connect storm, handshake only",
        "throughput",
        "connections",
        Load("storm", 5_000, bare=True),
        explanation="5,000 connections, 64 of them being opened at any time; all stay open.",
    ),
    Scenario(
        "storm",
        "Connect storm: handshake, connect with token, subscribe",
        "throughput",
        "connections",
        Load("storm", 5_000),
        explanation="As above. Every server but the floor checks the signature of the token (HS256).",
    ),
    Scenario(
        "memory",
        "Memory per idle connection with one subscription",
        "memory",
        "connections",
        Load("idle", 10_000, warm_clients=500),
        rounds=2,
        explanation="By how much the anonymous resident memory of the server's processes grew for 10,000 connections. "
        "The kernel's memory for sockets comes on top, and is the same for all.",
    ),
    Scenario(
        "latency",
        "Latency with 1,000 subscribers and 200 publications per second",
        "latency",
        "deliveries",
        Load("fan-out", 1_000, rate=200.0, seconds=3.0, warm_up=1.0),
        (*PLAIN, *_JOINED),
        rounds=3,
        explanation="From when a publication was to be sent to when a subscriber has it, every delivery. The load "
        "generator reads all subscribers on one core, which is part of every figure.",
    ),
    Scenario(
        "redis",
        "Through Redis: publications on one server, 1,000 subscribers on another",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000),
        (FLOOR, OURS_REDIS, CENTRIFUGE_REDIS),
        rounds=3,
        explanation="The CPU time is that of both servers and of Redis, which share the core. The floor has no Redis.",
    ),
    Scenario(
        "socket-io",
        "Socket.IO: fan-out to 1,000 clients by WebSocket, one publication at a time",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000),
        _SOCKET_IO,
        SOCKET_IO,
        explanation="All clients are in one room, where one of them publishes.",
    ),
    Scenario(
        "socket-io-16",
        "Socket.IO: fan-out to 1,000 clients by WebSocket, 16 publications on their way",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000, in_flight=16),
        _SOCKET_IO,
        SOCKET_IO,
        rounds=3,
    ),
    Scenario(
        "socket-io-polling",
        "Socket.IO: fan-out to 1,000 clients by long polling, one publication at a time",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000, warm_up=1.0),
        _POLLING,
        SOCKET_IO_POLLING,
        explanation="Every delivery is the answer to a request, after which the client sends the next one on the same "
        "connection. The publisher has a WebSocket.",
    ),
    Scenario(
        "socket-io-polling-16",
        "Socket.IO: fan-out to 1,000 clients by long polling, 16 publications on their way",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000, in_flight=16, warm_up=1.0),
        _POLLING,
        SOCKET_IO_POLLING,
        rounds=3,
        explanation="An answer has everything that waits for the client.",
    ),
    Scenario(
        "socket-io-redis",
        "Socket.IO through Redis: publications on one server, 1,000 clients by WebSocket on another",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000),
        (SOCKET_IO_REDIS, OURS_SOCKET_IO_REDIS),
        SOCKET_IO_REDIS,
        rounds=3,
        explanation="Socket.IO's servers use its Redis adapter. The CPU time is that of both servers and of Redis.",
    ),
    Scenario(
        "socket-io-inbound",
        "Socket.IO: events of clients, one per read",
        "throughput",
        "events",
        Load("inbound", 64),
        _SOCKET_IO,
        SOCKET_IO,
        rounds=3,
        explanation="64 clients publish to a room that nobody is in, each waits for the acknowledgement before its "
        "next event.",
    ),
    Scenario(
        "socket-io-storm",
        "Socket.IO: connect storm, handshake, CONNECT with token, subscribe",
        "throughput",
        "connections",
        Load("storm", 5_000),
        _SOCKET_IO,
        SOCKET_IO,
        rounds=3,
        explanation="5,000 connections, 64 of them being opened at any time; all stay open. Both servers check the "
        "signature of the token.",
    ),
    Scenario(
        "plain",
        "Clients without an SDK: fan-out to 1,000 WebSockets of a route, one publication at a time",
        "throughput",
        "deliveries",
        Load("fan-out", 1_000),
        (OURS, OURS_ENVELOPE, OURS_BARE),
        OURS,
        explanation="The same channel for clients of Centrifugo's protocol, of a route with `envelope: json`, and of "
        "one with the bare data.",
    ),
    *(
        Scenario(
            f"cost-{clients}",
            "CPU time per delivery as the number of subscribers grows",
            "cost",
            "deliveries",
            Load("fan-out", clients, seconds=1.0),
            rounds=2,
            explanation="One publication at a time: its own cost is shared by fewer deliveries on the left.",
        )
        for clients in _COST_CLIENTS
    ),
)


def scenarios(*, only: tuple[str, ...] = (), quick: bool = False) -> list[Scenario]:
    """Return all scenarios, or those whose key is in `only` or starts with it and a dash; `quick` makes them small."""
    chosen = [one for one in _ALL if not only or any(one.key == key or one.key.startswith(f"{key}-") for key in only)]
    return [_quick(one) for one in chosen] if quick else chosen


def keys() -> list[str]:
    """Return the valid values of `only`."""
    return [scenario.key for scenario in _ALL if scenario.kind != "cost"] + ["cost"]


def _quick(scenario: Scenario) -> Scenario:
    load = scenario.load
    small = replace(
        load,
        clients=max(1, load.clients // 10) if load.scenario != "inbound" else load.clients,
        warm_clients=load.warm_clients // 10,
        seconds=0.2,
        warm_up=0.1,
        settle=0.3,
    )
    return replace(scenario, load=small, rounds=1)
