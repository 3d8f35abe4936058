"""Example calls of the server API with their answers, for its OpenAPI document; tests check them against the types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

EPOCH = "pXsv4b6yRKa7wJ2q"
CLIENT = "32251c526d1c4c5f9c0b7d5b1f3a4e21"
SOCKET = "io-1f6b8e0c9d4a4c55b0f2a7d3c8e91b60"
OTHER_SOCKET = "io-c04d7a1e5b3f4f92a6d8e2b1907c35fa"
ALICE: Json = {"user": "alice", "client": CLIENT, "conn_info": {"name": "Alice"}}
POSITION: Json = {"offset": 7, "epoch": EPOCH}
DONE: Json = {"result": {}}


@dataclass(frozen=True, slots=True)
class Example:
    """Example call with its answer."""

    name: str
    request: dict[str, Json]
    answer: Json


def _result(**fields: Json) -> Json:
    return {"result": fields}


EXAMPLES: Mapping[str, Sequence[Example]] = {
    "publish": [
        Example(
            "once",
            {"channel": "chat:lobby", "data": {"text": "hello"}, "idempotency_key": "order-17"},
            {"result": POSITION},
        ),
        Example(
            "newest",
            {"channel": "prices:EURUSD", "data": 1.0842, "version": 4711, "version_epoch": "feed-1"},
            {"result": POSITION},
        ),
        Example("bytes", {"channel": "frames:cam1", "b64data": "/9j/4AA=", "tags": {"type": "image/jpeg"}}, DONE),
        Example(
            "unknown",
            {"channel": "nowhere:lobby", "data": 1},
            {"error": {"code": 102, "message": "unknown channel"}},
        ),
    ],
    "broadcast": [
        Example(
            "several",
            {"channels": ["user:1", "nowhere:2"], "data": {"unread": 3}},
            _result(responses=[{"result": POSITION}, {"error": {"code": 102, "message": "unknown channel"}}]),
        )
    ],
    "subscribe": [
        Example(
            "user",
            {
                "user": "alice", "channel": "team:red", "info": {"role": "captain"}, "expire_at": 1795445019,
                "override": {"join_leave": {"value": False}},
            },
            DONE,
        ),
        Example(
            "connection",
            {"user": "alice", "channel": "team:red", "client": CLIENT, "recover_since": POSITION},
            DONE,
        ),
    ],
    "unsubscribe": [Example("user", {"user": "alice", "channel": "team:red"}, DONE)],
    "disconnect": [
        Example(
            "banned",
            {"user": "alice", "disconnect": {"code": 4501, "reason": "banned"}, "whitelist": [CLIENT]},
            DONE,
        ),
        Example("sockets", {"namespace": "/chat", "rooms": ["lobby"], "except": ["staff"], "close": True}, DONE),
    ],
    "emit": [
        Example("room", {"namespace": "/chat", "rooms": ["lobby"], "event": "greet", "args": ["Ann", {"n": 1}]}, DONE),
        Example("others", {"rooms": ["lobby"], "except": [SOCKET], "event": "typing", "volatile": True}, DONE),
        Example("bytes", {"event": "frame", "args": [{"b64data": "/9j/4AA="}]}, DONE),
        Example(
            "acknowledged",
            {"namespace": "/chat", "rooms": ["lobby"], "event": "ping", "ack_timeout": 2.5},
            _result(acks=[{"client": SOCKET, "data": ["pong", 7]}], unanswered=[OTHER_SOCKET], complete=True),
        ),
        Example(
            "reserved",
            {"event": "connect"},
            {
                "error": {
                    "code": 107,
                    "message": "bad request: the name of an event, a string that is not reserved, comes first",
                }
            },
        ),
    ],
    "join": [
        Example("one", {"namespace": "/chat", "rooms": [SOCKET], "join": ["vip"]}, _result(num_sockets=1)),
        Example("all", {"namespace": "/chat", "join": ["news", "offers"]}, _result(num_sockets=2)),
    ],
    "leave": [
        Example("room", {"namespace": "/chat", "rooms": ["vip"], "leave": ["vip", "offers"]}, _result(num_sockets=1))
    ],
    "sockets": [
        Example(
            "page",
            {"namespace": "/chat", "rooms": ["lobby"], "limit": 1},
            _result(
                sockets=[
                    {
                        "client": SOCKET, "user": "alice", "rooms": ["lobby", "vip"], "transport": "websocket",
                        "conn_info": {"name": "Alice"},
                    }
                ],
                num_sockets=2,
                next=SOCKET,
            ),
        )
    ],
    "send": [
        Example("connection", {"client": CLIENT, "data": {"text": "hello"}}, DONE),
        Example("user", {"user": "alice", "b64data": "aGVsbG8="}, DONE),
        Example(
            "nobody",
            {"data": {"text": "hello"}},
            {"error": {"code": 107, "message": "bad request: user or client is needed"}},
        ),
    ],
    "refresh": [
        Example("until", {"user": "alice", "expire_at": 1795445019}, DONE),
        Example("now", {"user": "alice", "client": CLIENT, "expired": True}, DONE),
    ],
    "revoke": [
        Example("user", {"user": "alice", "expire_at": 4102444800}, _result(expire_at=4102444800)),
        Example("token", {"jti": "b0a5c1f2", "expire_at": 4102444800}, _result(expire_at=4102444800)),
        Example("everything", {"issued_before": 1792853000}, _result(expire_at=4102444800)),
        Example(
            "nothing",
            {},
            {"error": {"code": 107, "message": "bad request: jti, user or issued_before is needed"}},
        ),
    ],
    "presence": [Example("room", {"channel": "chat:lobby"}, _result(presence={CLIENT: ALICE}))],
    "presence_stats": [Example("room", {"channel": "chat:lobby"}, _result(num_clients=2, num_users=1))],
    "history": [
        Example(
            "page",
            {"channel": "chat:lobby", "limit": 10, "since": {"offset": 6, "epoch": EPOCH}},
            _result(
                publications=[{"data": {"text": "hello"}, "info": ALICE, "tags": {"lang": "en"}, "offset": 7}],
                epoch=EPOCH,
                offset=7,
            ),
        ),
        Example("position", {"channel": "chat:lobby"}, _result(publications=[], epoch=EPOCH, offset=7)),
    ],
    "history_remove": [Example("channel", {"channel": "chat:lobby"}, DONE)],
    "channels": [
        Example("namespace", {"pattern": "chat:*"}, _result(channels={"chat:lobby": {"num_clients": 2}}))
    ],
    "info": [
        Example(
            "cluster",
            {},
            _result(
                nodes=[
                    {
                        "uid": "0f8b0f6e-7d1c-4b57-9b5e-3f0f1a8a5b11", "name": "chat-7d9f-x2k4p", "version": "0.1.0",
                        "num_clients": 2, "num_users": 1, "num_channels": 1, "uptime": 3600,
                    }
                ]
            ),
        )
    ],
    "batch": [
        Example(
            "two",
            {
                "commands": [
                    {"publish": {"channel": "chat:lobby", "data": {"text": "hello"}}},
                    {"presence_stats": {"channel": "feed:all"}},
                ],
                "parallel": True,
            },
            {"replies": [{"publish": POSITION}, {"error": {"code": 108, "message": "not available"}}]},
        )
    ],
}  # fmt: skip
