"""Binary data in the JSON of a packet: each has the place of an object that says which attachment it is.

Source: https://github.com/socketio/socket.io-protocol, `{"_placeholder": true, "num": 0}`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, cast

import msgspec

from realtime_server.core.model.nesting import MAX_NESTING, check_nesting
from realtime_server.protocols.socket_io.errors import Fault, PacketError

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"
"""Value of JSON, or bytes."""
Container: TypeAlias = "list[Value] | dict[str, Value]"

BASE64 = "b64data"
"""Field of the object that binary data is for backends."""
_encoder = msgspec.json.Encoder()


def check_placeholders(document: bytes, count: int) -> None:
    """Raise PacketError when JSON cannot be decoded, or its places are not of different ones of `count` attachments.

    Clients give each attachment one place; with many places, a small packet would be large for backends.
    """
    waiting, found = [_decode(document)], set[int]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            number = _number_in(value, count)
            if number is None:
                waiting.extend(value.values())
            elif number in found:
                raise PacketError(Fault.BAD_PLACEHOLDER, "each attachment has one place")
            else:
                found.add(number)
        elif isinstance(value, list):
            waiting.extend(value)


def insert_attachments(document: bytes, attachments: Sequence[Value]) -> Value:
    """Return the value of JSON with the attachments, or what stands for them, in their places. Raises PacketError."""

    def insert(value: Value) -> Value:
        number = _number_in(value, len(attachments)) if isinstance(value, dict) else None
        return value if number is None else attachments[number]

    return _copy(_decode(document), insert)


def _decode(document: bytes) -> Value:
    """Decode JSON whose numbers are doubles or integers of some hundred digits, without half of a surrogate pair."""
    try:
        check_nesting(document)
        return cast("Value", msgspec.json.decode(document))
    except RecursionError as error:
        raise PacketError(Fault.TOO_DEEP, f"JSON has at most {MAX_NESTING} levels") from error
    except ValueError as error:
        raise PacketError(Fault.BAD_JSON, "JSON with attachments has doubles and whole characters only") from error


def _number_in(value: dict[str, Value], count: int) -> int | None:
    """Return the number of the attachment whose place an object is; None for any other object. Raises PacketError."""
    if value.get("_placeholder") is not True:
        return None
    number = value.get("num")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
        raise PacketError(Fault.BAD_PLACEHOLDER, "a placeholder has the number of an attachment, from 0 on")
    return number


def extract_attachments(value: Value) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the JSON of a value, and the attachments that it names, in their order.

    Raises PacketError when it is nested too deeply, or has half of a surrogate pair.
    """
    attachments: list[bytes] = []

    def extract(value: Value) -> Value:
        if not isinstance(value, bytes):
            return value
        attachments.append(value)
        return {"_placeholder": True, "num": len(attachments) - 1}

    copied = _copy(value, extract)
    try:
        return _encoder.encode(copied), tuple(attachments)
    except ValueError as error:
        raise PacketError(Fault.BAD_JSON, "data has whole characters, and integers that JSON can have") from error


def attachments_in_base64(document: bytes, attachments: Sequence[bytes]) -> bytes:
    """Return JSON for backends: each attachment is an object `{"b64data": "..."}`. Raises PacketError."""
    if not attachments:
        return document
    encoded: list[Value] = [{BASE64: base64.b64encode(each).decode()} for each in attachments]
    return _encoder.encode(insert_attachments(document, encoded))


def decode_base64(document: bytes) -> Value:
    """Return the value of a backend's JSON, in which an object with the one field `b64data` is bytes.

    Raises PacketError.
    """

    def decode(value: Value) -> Value:
        if not isinstance(value, dict) or value.keys() != {BASE64}:
            return value
        text = value[BASE64]
        try:
            return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
        except ValueError as error:
            raise PacketError(Fault.BAD_BASE64, f"{BASE64} is base64") from error

    return _copy(_decode(document), decode)


def _copy(value: Value, replace: Callable[[Value], Value]) -> Value:
    """Return a copy in which `replace` has exchanged values, depth first; what it exchanges is not descended into.

    Not recursive: the interpreter's limit depends on the caller's depth.
    """
    root: list[Value] = []
    levels: list[tuple[Iterator[tuple[str, Value]], Container]] = [(iter([("", value)]), root)]
    while levels:
        source, target = levels[-1]
        key, found = next(source, (None, None))
        if key is None:
            levels.pop()
            continue
        copied = replace(found)
        if copied is found and isinstance(found, (list, dict)):
            copied = [] if isinstance(found, list) else {}
            levels.append((_items(found), copied))
            if len(levels) > MAX_NESTING + 1:
                raise PacketError(Fault.TOO_DEEP, f"JSON has at most {MAX_NESTING} levels")
        if isinstance(target, list):
            target.append(copied)
        else:
            target[key] = copied
    return root[0]


def _items(container: Container) -> Iterator[tuple[str, Value]]:
    if isinstance(container, dict):
        return iter(container.items())
    return (("", one) for one in container)
