"""Messages of @socket.io/redis-emitter."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.nesting import MAX_NESTING
from realtime_server.protocols.socket_io.attachments import Value
from realtime_server.protocols.socket_io.emitters.instruction import (
    MAX_ROOMS,
    Disconnect,
    Emit,
    Instruction,
    Join,
    Leave,
    Targets,
)
from realtime_server.protocols.socket_io.emitters.redis_emitter import decode_broadcast, decode_request
from realtime_server.protocols.socket_io.errors import Fault
from tests.unit.realtime_server.protocols.socket_io.emitters.drawn import (
    LEAVES,
    MOST,
    ROOMS,
    decode_or_refuse,
    fault_of,
    trees,
)

VALUES = (
    b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x95\xa5hello\x01\xa3two\x87\xa5three\x03\xa1d\xd6\xff\x00\x00\x00\x00"
    b"\xa1n\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\xa3big\xcf\x10\x00\x00\x00\x00\x00\x00\x00"
    b"\xa1f\xcb?\xf8\x00\x00\x00\x00\x00\x00\xa3neg\xfb\xa3nul\xc0\xc0\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80"
    b"\xa6except\x90"
)
"""As 5.1.0 writes emit("hello", 1, "two", {three: 3, u: undefined, d: new Date(0), n: NaN, ...}, undefined)."""
MANY = (
    b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x91\xa4many\xa3nsp\xa1/\x83\xa5rooms\x92\xa5room1\xa5room2\xa5flags\x81"
    b"\xa8volatile\xc3\xa6except\x91\xa1x"
)
BINARY = (
    b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x93\xa3bin\xc4\x02\x01\x02\x82\xa1a\xc4\x01\x03\xa2ab\xc4\x02\x00\x00"
    b"\xa3nsp\xa5/chat\x83\xa5rooms\x91\xa3r#1\xa5flags\x81\xa8compress\xc2\xa6except\x90"
)
NUMBERS = (
    b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\x07\xa7numname\xa3nsp\xa1/\x83\xa5rooms\x91\x05\xa5flags\x80"
    b"\xa6except\x90"
)
PHP = msgspec.msgpack.encode(["emitter", {"type": 2, "data": ["x"], "nsp": "/"}, {"rooms": [], "flags": []}])
OLDER = msgspec.msgpack.encode(["u", {"type": 5, "data": ["x", b"y"], "nsp": "/"}, {"rooms": ["a"], "flags": {}}])
ADAPTER = b"\x84\xa4type\x09\xa4data\x81\xa6packet\x92\xa4ping\x01\xa3uid\xb0eae18efb3fda5bc9\xa3nsp\xa1/"
"""A server with @socket.io/redis-streams-adapter 0.3.1 publishes this in the channel of events."""
ACKS = b"\x85\xa3uid\xa6ilc7TT\xa9requestId\xa6anNhNU\xa4type\x07\xa6packet\x83\xa4type\x02\xa4data\x92\xa3ack\x01"


def message(data: object = ("x",), kind: object = 2, nsp: object = "/", **options: object) -> bytes:
    """Return a message of an emitter."""
    return msgspec.msgpack.encode(["emitter", {"type": kind, "data": data, "nsp": nsp}, options])


def decoded(payload: bytes, namespace: str = "/") -> Emit | None:
    return decode_broadcast(payload, namespace, MOST)


def requested(payload: bytes, namespace: str = "/") -> Instruction | None:
    return decode_request(payload, namespace, MOST)


def test_values_are_those_that_a_server_of_javascript_would_send() -> None:
    """A date is its text in JSON."""
    found = decoded(VALUES)
    assert found is not None
    assert found.targets == Targets("/")
    name, one, two, values, undefined = found.event
    assert (name, one, two, undefined) == ("hello", 1, "two", None)
    assert isinstance(values, dict)
    assert repr(values.pop("n")) == "nan"
    assert values == {"three": 3, "d": "1970-01-01T00:00:00.000Z", "big": 2**60, "f": 1.5, "neg": -5, "nul": None}


def test_rooms_exceptions_and_flags_are_understood() -> None:
    targets = Targets("/", frozenset({"room1", "room2"}), frozenset({"x"}))
    assert decoded(MANY) == Emit(targets, ["many"], volatile=True)


def test_binary_data_stays_bytes() -> None:
    targets = Targets("/chat", frozenset({"r#1"}))
    assert decoded(BINARY, "/chat") == Emit(targets, ["bin", b"\x01\x02", {"a": b"\x03", "ab": b"\0\0"}])


def test_numbers_are_names() -> None:
    assert decoded(NUMBERS) == Emit(Targets("/", frozenset({"5"})), ["7", "numname"])


def test_emitters_of_other_languages_are_understood() -> None:
    """PHP has no empty maps; older ones give events with binary data a type of its own, and know no exceptions."""
    assert decoded(PHP) == Emit(Targets("/"), ["x"])
    assert decoded(OLDER) == Emit(Targets("/", frozenset({"a"})), ["x", b"y"])


def test_what_is_for_others_is_left_out() -> None:
    """The pattern of a namespace may match channels of another one; servers write to each other there too."""
    assert decoded(BINARY, "/") is None
    assert decoded(ADAPTER) is None
    for kind in (0, 1, 5, 6):
        assert requested(b'{"uid":"u","type":%d,"requestId":"x","data":["ping",1]}' % kind) is None


def test_requests_are_instructions() -> None:
    targets = Targets("/chat", frozenset({"a"}), frozenset({"b", "c"}))
    options = b'"opts":{"rooms":["a"],"except":["b","c"]}'
    assert requested(b'{"type":2,%b,"rooms":["d","e"]}' % options, "/chat") == Join(targets, frozenset({"d", "e"}))
    assert requested(b'{"type":3,%b,"rooms":["d"]}' % options, "/chat") == Leave(targets, frozenset({"d"}))
    assert requested(b'{"type":4,%b,"close":true}' % options, "/chat") == Disconnect(targets, whole=True)
    assert requested(b'{"type":4,"opts":{"rooms":[],"except":[]},"close":false}') == Disconnect(Targets("/"))


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", Fault.BAD_MSGPACK),
        (b"\xc1", Fault.BAD_MSGPACK),
        (PHP + b"\xc0", Fault.BAD_MSGPACK),
        (b"\x93\xa1u\x82\xa4type\x02\xa4data\xdd\xff\xff\xff\xff", Fault.BAD_MSGPACK),
        (b"\x93\xa1u\x82\xa4type\x02\xa4data\x91\xa1\xff\x80", Fault.BAD_UTF8),
        (b"\x93\xa1u\x82\xa4type\x02\xa4data\x91\xd7\xff" + b"\xff" * 8 + b"\x80", Fault.BAD_PAYLOAD),
        (b"\x93\xa1u\x82\xa4type\x02\xa4data\x91\xd4\x05\x00\x80", Fault.BAD_PAYLOAD),
        (b"\x93\xa1u\x82\xa4type\x02\xa4data\x91\x81\xc2\xc0\x80", Fault.BAD_PAYLOAD),
        (b"\x90", Fault.BAD_PAYLOAD),
        (message(kind=3), Fault.UNKNOWN_TYPE),
        (message(data="x"), Fault.BAD_PAYLOAD),
        (message(rooms="x"), Fault.BAD_PAYLOAD),
        (message(rooms=[None]), Fault.BAD_PAYLOAD),
        (message(rooms=["x" * 256]), Fault.BAD_PAYLOAD),
        (message(flags=[1]), Fault.BAD_PAYLOAD),
        (message(rooms=list(range(MAX_ROOMS + 1))), Fault.TOO_MANY_ROOMS),
        (message(**{"except": list(range(MAX_ROOMS + 1))}), Fault.TOO_MANY_ROOMS),
        (message(data=["x" * MOST]), Fault.TOO_LARGE),
        (b"\x93\xa1u\x82\xa4type\x02\xa4data" + b"\x91" * (MAX_NESTING + 2) + b"\xc0\x80", Fault.TOO_DEEP),
        (b"\x93\xa1u\x82\xa4type\x02\xa4data" + b"\x91" * 9000 + b"\xc0\x80", Fault.TOO_DEEP),
    ],
)
def test_a_wrong_event_is_refused(payload: bytes, fault: Fault) -> None:
    assert fault_of(partial(decoded, payload)) is fault


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", Fault.BAD_JSON),
        (b"[]", Fault.BAD_PAYLOAD),
        (b'{"type":8}', Fault.BAD_PAYLOAD),
        (b'{"type":2,"rooms":"a"}', Fault.BAD_PAYLOAD),
        (b'{"type":2,"rooms":["%b"]}' % (b"x" * MOST), Fault.TOO_LARGE),
        (b'{"type":6,"data":' + b"[" * 2000 + b"]" * 2000 + b"}", Fault.TOO_DEEP),
        (b'{"type":2,"rooms":["\xff"]}', Fault.BAD_UTF8),
        (ACKS, Fault.UNSUPPORTED),
    ],
)
def test_a_wrong_request_is_refused(payload: bytes, fault: Fault) -> None:
    assert fault_of(partial(requested, payload)) is fault


@given(trees(LEAVES), ROOMS, ROOMS)
def test_an_event_is_whole_after_a_round_trip(arguments: list[Value], rooms: list[str], excluded: list[str]) -> None:
    payload = message(["name", *arguments], rooms=rooms, **{"except": excluded})
    found = decode_broadcast(payload, "/", 10 * MOST)
    assert found == Emit(Targets("/", frozenset(rooms), frozenset(excluded)), ["name", *arguments])


@given(st.binary(max_size=200) | trees(LEAVES).map(msgspec.msgpack.encode))
def test_any_bytes_are_decoded_or_refused(payload: bytes) -> None:
    decode_or_refuse(partial(decoded, payload))
    decode_or_refuse(partial(requested, payload))


@given(st.data())
def test_a_damaged_message_is_decoded_or_refused(data: st.DataObject) -> None:
    payload = bytearray(data.draw(st.sampled_from([VALUES, MANY, BINARY, NUMBERS, PHP])))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    decode_or_refuse(partial(decoded, bytes(payload)))
