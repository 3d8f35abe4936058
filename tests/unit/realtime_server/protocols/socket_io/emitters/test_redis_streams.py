"""Entries of @socket.io/redis-streams-emitter and of @socket.io/redis-streams-adapter."""

from __future__ import annotations

import base64
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.protocols.socket_io.attachments import Value
from realtime_server.protocols.socket_io.emitters.instruction import (
    Disconnect,
    Emit,
    Instruction,
    Join,
    Leave,
    Targets,
)
from realtime_server.protocols.socket_io.emitters.redis_streams import decode_entry
from realtime_server.protocols.socket_io.errors import Fault
from tests.unit.realtime_server.protocols.socket_io.emitters.drawn import (
    JSON_LEAVES,
    LEAVES,
    MOST,
    ROOMS,
    decode_or_refuse,
    fault_of,
    trees,
)

JSON = (
    b'{"packet":{"type":2,"data":["one",{"d":"1970-01-01T00:00:00.000Z"}]},'
    b'"opts":{"rooms":["room1","r2"],"except":["x"],"flags":{"volatile":true}}}'
)
"""As 0.3.1 of the adapter writes; the emitter adds the namespace to the packet."""
MSGPACK = b"gqZwYWNrZXSCpHR5cGUCpGRhdGGTo2JpbsQCAQKDoWHEAQOhZNb/AAAAAKF1wKRvcHRzg6Vyb29tc5GhcqZleGNlcHSQpWZsYWdzgA=="
"""emit("bin", Buffer.from([1, 2]), {a: new Uint8Array([3]), d: new Date(0), u: undefined}) to the room r."""


def entry(kind: str, data: bytes | None = None, nsp: bytes = b"/chat") -> dict[bytes, bytes]:
    """Return the fields of an entry."""
    fields = {b"uid": b"emitter", b"nsp": nsp, b"type": kind.encode()}
    return fields if data is None else {**fields, b"data": data}


def decoded(fields: dict[bytes, bytes]) -> Instruction | None:
    return decode_entry(fields, MOST)


def test_events_in_json_are_understood() -> None:
    targets = Targets("/chat", frozenset({"room1", "r2"}), frozenset({"x"}))
    assert decoded(entry("3", JSON)) == Emit(targets, ["one", {"d": "1970-01-01T00:00:00.000Z"}], volatile=True)


def test_events_with_binary_data_are_understood() -> None:
    targets = Targets("/chat", frozenset({"r"}))
    values: Value = {"a": b"\x03", "d": "1970-01-01T00:00:00.000Z", "u": None}
    assert decoded(entry("3", MSGPACK)) == Emit(targets, ["bin", b"\x01\x02", values])


def test_other_instructions_are_understood() -> None:
    options = b'"opts":{"rooms":["a"],"except":["b"],"flags":{}}'
    targets = Targets("/chat", frozenset({"a"}), frozenset({"b"}))
    assert decoded(entry("4", b'{%b,"rooms":["d","e"]}' % options)) == Join(targets, frozenset({"d", "e"}))
    assert decoded(entry("5", b'{%b,"rooms":["d"]}' % options)) == Leave(targets, frozenset({"d"}))
    assert decoded(entry("6", b'{%b,"close":true}' % options)) == Disconnect(targets, whole=True)


def test_what_servers_write_for_each_other_is_left_out() -> None:
    for kind in (1, 2, 7, 8, 9, 10, 11, 12, 13):
        assert decoded(entry(str(kind), b"anything")) is None


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, Fault.UNKNOWN_TYPE),
        (entry("14"), Fault.UNKNOWN_TYPE),
        (entry("03", JSON), Fault.UNKNOWN_TYPE),
        ({b"type": b"3", b"data": JSON}, Fault.BAD_PAYLOAD),
        (entry("3", JSON, b"\xff"), Fault.BAD_PAYLOAD),
        (entry("3"), Fault.BAD_MSGPACK),
        (entry("3", b"*"), Fault.BAD_BASE64),
        (entry("3", base64.b64encode(b"\xc1")), Fault.BAD_MSGPACK),
        (entry("3", b'{"packet"'), Fault.BAD_JSON),
        (entry("3", b"{}"), Fault.BAD_PAYLOAD),
        (entry("3", JSON.replace(b"2", b"4", 1)), Fault.UNKNOWN_TYPE),
        (entry("3", b'{"packet":{"type":2,"data":["%b"]}}' % (b"x" * MOST)), Fault.TOO_LARGE),
        (entry("3", b'{"packet":{"type":2,"data":%b}}' % (b"[" * 2000 + b"]" * 2000)), Fault.TOO_DEEP),
        (entry("3", b'{"packet":{"type":2,"data":["x"]},"opts":{},"requestId":"1"}'), Fault.UNSUPPORTED),
        (entry("4", b"[]"), Fault.BAD_PAYLOAD),
    ],
)
def test_a_wrong_entry_is_refused(fields: dict[bytes, bytes], fault: Fault) -> None:
    assert fault_of(partial(decoded, fields)) is fault


@given(trees(JSON_LEAVES), ROOMS)
def test_an_event_in_json_is_whole_after_a_round_trip(arguments: list[Value], rooms: list[str]) -> None:
    data = {"packet": {"type": 2, "data": ["name", *arguments]}, "opts": {"rooms": rooms, "except": []}}
    found = decode_entry(entry("3", msgspec.json.encode(data)), 10 * MOST)
    assert found == Emit(Targets("/chat", frozenset(rooms)), ["name", *arguments])


@given(trees(LEAVES), ROOMS)
def test_an_event_in_msgpack_is_whole_after_a_round_trip(arguments: list[Value], rooms: list[str]) -> None:
    data = {"packet": {"type": 2, "data": ["name", *arguments]}, "opts": {"rooms": rooms, "except": []}}
    found = decode_entry(entry("3", base64.b64encode(msgspec.msgpack.encode(data))), 10 * MOST)
    assert found == Emit(Targets("/chat", frozenset(rooms)), ["name", *arguments])


@given(
    st.dictionaries(st.sampled_from([b"uid", b"nsp", b"type", b"data"]), st.sampled_from([b"3", b"4"]) | st.binary())
)
def test_any_fields_are_decoded_or_refused(fields: dict[bytes, bytes]) -> None:
    decode_or_refuse(partial(decoded, fields))
