"""Messages of python-socketio's RedisManager: JSON is understood, pickles are never read."""

from __future__ import annotations

import json
import pickle
from functools import partial
from typing import cast

import pytest
import socketio
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
from realtime_server.protocols.socket_io.emitters.python_manager import decode_message
from realtime_server.protocols.socket_io.errors import Fault
from tests.unit.realtime_server.protocols.socket_io.emitters.drawn import (
    LEAVES,
    MOST,
    decode_or_refuse,
    fault_of,
    trees,
)


def emitted(event: str, data: object, **options: object) -> bytes:
    """Return what the installed library publishes for an event."""
    messages: list[object] = []
    manager = socketio.RedisManager(write_only=True)
    manager._publish = messages.append
    manager.emit(event, data, **options)
    (message,) = messages
    return json.dumps(message).encode()


def written(method: str, **fields: object) -> bytes:
    return json.dumps({"method": method, **fields}).encode()


def decoded(payload: bytes) -> Instruction | None:
    return decode_message(payload, MOST)


def event_of(payload: bytes) -> list[object]:
    """Return the name and arguments of an event."""
    found = decode_message(payload, 100 * MOST)
    assert isinstance(found, Emit)
    return cast("list[object]", found.event)


def test_events_of_the_library_are_understood() -> None:
    payload = emitted("hi", {"a": 1}, room="r", namespace="/chat", skip_sid="s")
    assert decoded(payload) == Emit(Targets("/chat", frozenset({"r"}), frozenset({"s"})), ["hi", {"a": 1}])
    payload = emitted("hi", "x", to=["r", "q"], skip_sid=["s", "t"])
    assert decoded(payload) == Emit(Targets("/", frozenset({"r", "q"}), frozenset({"s", "t"})), ["hi", "x"])


def test_data_is_one_argument_unless_it_is_a_tuple() -> None:
    assert event_of(emitted("e", (1, 2))) == ["e", 1, 2]
    assert event_of(emitted("e", ())) == ["e"]
    assert event_of(emitted("e", None)) == ["e"]
    assert event_of(emitted("e", [1, 2])) == ["e", [1, 2]]
    assert event_of(emitted("e", [])) == ["e", []]


def test_binary_data_is_understood() -> None:
    assert event_of(emitted("e", {"a": b"\1\2", "b": [b"\3"]})) == ["e", {"a": b"\1\2", "b": [b"\3"]}]
    assert event_of(emitted("e", (b"x", 1))) == ["e", b"x", 1]


def test_earlier_versions_are_understood() -> None:
    """5.14 has no binary data, and data is one argument, whatever it is; 5.15 adds binary data."""
    assert event_of(written("emit", event="e", data=[1, 2], room=None)) == ["e", [1, 2]]
    assert event_of(written("emit", event="e", data=None)) == ["e"]
    data = [{"a": {"_placeholder": True, "num": 0}}, "AQI="]
    assert event_of(written("emit", event="e", data=data, binary=True)) == ["e", {"a": b"\1\2"}]


def test_other_methods_are_instructions() -> None:
    socket = Targets("/chat", frozenset({"sid1"}))
    place = {"sid": "sid1", "namespace": "/chat"}
    assert decoded(written("enter_room", room="r", **place)) == Join(socket, frozenset({"r"}))
    assert decoded(written("leave_room", room="r", **place)) == Leave(socket, frozenset({"r"}))
    assert decoded(written("disconnect", **place)) == Disconnect(socket)
    room = frozenset({"r"})
    assert decoded(written("close_room", room="r", namespace="/chat")) == Leave(Targets("/chat", room), room)
    assert decoded(written("callback", sid="x", id=1, args=[])) is None


class Trap:
    """Object that would be noticed if its pickle were read."""

    read = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return setattr, (Trap, "read", True)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_never_read(protocol: int) -> None:
    assert fault_of(partial(decoded, pickle.dumps(Trap(), protocol))) is Fault.PICKLED
    assert not Trap.read


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", Fault.BAD_JSON),
        (b"[]", Fault.BAD_PAYLOAD),
        (b"{}", Fault.BAD_PAYLOAD),
        (written("other"), Fault.UNKNOWN_TYPE),
        (written("emit"), Fault.BAD_PAYLOAD),
        (written("emit", event=True), Fault.BAD_PAYLOAD),
        (written("emit", event="e", callback=["room", "/", 1]), Fault.UNSUPPORTED),
        (written("emit", event="e", data="x" * MOST), Fault.TOO_LARGE),
        (written("emit", event="e", data=[1], room={"a": 1}), Fault.BAD_PAYLOAD),
        (written("emit", event="e", data=1, binary=True), Fault.BAD_PAYLOAD),
        (written("emit", event="e", data=[], binary=True), Fault.BAD_PAYLOAD),
        (written("emit", event="e", data=[1, "*"], binary=True), Fault.BAD_BASE64),
        (written("emit", event="e", data=[1, 2], binary=True), Fault.BAD_BASE64),
        (written("emit", event="e", data=[{"_placeholder": True, "num": 1}], binary=True), Fault.BAD_PLACEHOLDER),
        (written("enter_room", room="r"), Fault.BAD_PAYLOAD),
        (b'{"method":"emit","event":"e","data":' + b"[" * 2000 + b"]" * 2000 + b"}", Fault.TOO_DEEP),
        (b'{"method":"emit","event":"e","data":NaN}', Fault.BAD_JSON),
    ],
)
def test_a_wrong_message_is_refused(payload: bytes, fault: Fault) -> None:
    assert fault_of(partial(decoded, payload)) is fault


@given(trees(LEAVES).filter(lambda data: data != [None]))
def test_an_event_is_whole_after_a_round_trip(arguments: list[Value]) -> None:
    assert event_of(emitted("name", tuple(arguments))) == ["name", *arguments]


@given(
    st.binary(max_size=100)
    | st.dictionaries(
        st.sampled_from(["method", "event", "data", "binary", "room", "skip_sid", "sid", "namespace"]),
        st.sampled_from(["emit", "enter_room", True, ["a"], None]) | st.text(),
    ).map(lambda fields: json.dumps(fields).encode())
)
def test_any_bytes_are_decoded_or_refused(payload: bytes) -> None:
    decode_or_refuse(partial(decoded, payload))
