"""Tests of events for backends, read by the SDK of CloudEvents as a backend does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.ports.backend import Caller, Disconnected, TransportInfo
from realtime_server.core.ports.route_hooks import Opened, RouteMessage
from realtime_server.hooks.cloud_events import (
    HttpEvent,
    connect_event,
    disconnect_event,
    from_queue,
    message_event,
    sign_event,
    to_queue,
)

GUIDE = Path(__file__).parents[4] / "docs" / "guides" / "plain-websocket.md"
ALICE = Caller("c1", "alice", TransportInfo(remote="192.0.2.1"), b'{"tenant":"acme"}')
AT = 1795445019.598


def attributes(event: HttpEvent) -> dict[str, object]:
    """Return the attributes that a backend sees."""
    return dict(from_binary(HTTPMessage(dict(event.headers), event.body), JSONFormat()).get_attributes())


def test_a_message_is_the_body_and_the_rest_are_attributes() -> None:
    event = message_event("orders", ALICE, RouteMessage("quote", b'{"a": 1}', False), AT)
    found = attributes(event)
    assert event.body == b'{"a": 1}'
    assert str(found.pop("time")) == "2026-11-23 14:43:39.598000+00:00"
    assert found.pop("id")
    assert found == {
        "specversion": "1.0", "type": "dev.realtime.message", "source": "/ws/orders", "action": "quote",
        "connectionid": "c1", "userid": "alice", "datacontenttype": "application/json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "binary", "content_type"),
    [
        (b'{"a": 1}', False, "application/json"),
        (b"hello", False, "text/plain; charset=utf-8"),
        (b'{"a": 1}', True, "application/octet-stream"),
    ],
)
def test_the_type_of_the_content_is_told(data: bytes, binary: bool, content_type: str) -> None:
    event = message_event("orders", ALICE, RouteMessage("$default", data, binary), AT)
    assert event.headers["content-type"] == content_type


def test_an_anonymous_client_has_no_user() -> None:
    event = message_event("orders", Caller("c1", "", TransportInfo()), RouteMessage("$default", b"x", False), AT)
    assert "ce-userid" not in event.headers


def test_a_connection_is_described_without_its_token() -> None:
    opened = Opened({"desk": ("9",)}, {"id": ["7"], "access_token": ["secret"]}, ("orders:7",))
    event = connect_event("orders", ALICE, opened, AT)
    assert json.loads(event.body) == {
        "query": {"id": ["7"]}, "path": {"desk": "9"}, "channels": ["orders:7"], "transport": "websocket",
        "remote_address": "192.0.2.1", "meta": {"tenant": "acme"},
    }  # fmt: skip
    assert event.headers["ce-action"] == "$connect"


def test_an_end_is_described_and_survives_a_queue() -> None:
    event = disconnect_event("orders", ALICE, Disconnected("c1", "alice", 1000, "bye", 1.23456), AT)
    assert json.loads(event.body) == {"code": 1000, "reason": "bye", "connected_seconds": 1.235}
    assert from_queue(to_queue(event)) == event
    assert from_queue(b"{}") is None


@given(st.text(min_size=1).filter(lambda text: text.isprintable()), st.binary())
def test_every_user_arrives(user: str, data: bytes) -> None:
    """Headers are ASCII whatever the name is, and nobody can add one."""
    event = message_event("orders", Caller("c1", user, TransportInfo()), RouteMessage("a", data, True), AT)
    assert attributes(event)["userid"] == user
    assert all(value.isascii() and value.isprintable() for value in event.headers.values())


def test_the_signature_is_of_the_attributes_too() -> None:
    """The function of the guide accepts it, and not with another user, body or key."""
    shown = re.search(r"```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    program: dict[str, Callable[[dict[str, str], bytes, str], bool]] = {}
    exec(shown[1], program)  # noqa: S102 - the guide's own program
    is_genuine = program["is_genuine"]
    event = message_event("orders", ALICE, RouteMessage("quote", b"x", False), AT)
    headers = {**event.headers, "x-realtime-signature": sign_event(event.headers, event.body, "key", 1795445019)}
    assert is_genuine(headers, b"x", "key")
    assert not is_genuine({**headers, "ce-userid": "bob"}, b"x", "key")
    assert not is_genuine(headers, b"y", "key")
    assert not is_genuine(headers, b"x", "other")
