"""Events of emitters as a server of JavaScript would send them to its clients."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeAlias

from realtime_server.core.model.nesting import MAX_NESTING
from realtime_server.protocols.socket_io.attachments import Container, Value
from realtime_server.protocols.socket_io.errors import EmitterError, Fault

_Level: TypeAlias = tuple[Iterator[tuple[str, object]], Container]


def event_of(values: list[object]) -> list[Value]:
    """Return the name and the arguments of an event from decoded JSON or MessagePack.

    Dates are written as in JavaScript's JSON; a number as name is one of its digits, which is the same to its clients.
    Raises EmitterError for other types.
    """
    name = values[0] if values else None
    if isinstance(name, int) and not isinstance(name, bool):
        values = [str(name), *values[1:]]
    return _plain_values(values)


def _plain_values(values: list[object]) -> list[Value]:
    """Return a copy of values in the types of JSON, with bytes.

    Not recursive: the interpreter's limit depends on the caller's depth.
    """
    root: list[Value] = []
    levels: list[_Level] = [(_items(values), root)]
    while levels:
        source, target = levels[-1]
        key, value = next(source, (None, None))
        if key is None:
            levels.pop()
            continue
        if isinstance(value, (list, dict)):
            inner: Container = [] if isinstance(value, list) else {}
            levels.append((_items(value), inner))
            if len(levels) > MAX_NESTING:
                raise EmitterError(Fault.TOO_DEEP, f"data has at most {MAX_NESTING} levels")
            plain: Value = inner
        else:
            plain = _plain(value)
        if isinstance(target, list):
            target.append(plain)
        else:
            target[key] = plain
    return root


def _items(container: list[object] | dict[object, object]) -> Iterator[tuple[str, object]]:
    if isinstance(container, dict):
        return ((_key(key), value) for key, value in container.items())
    return (("", value) for value in container)


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    raise EmitterError(Fault.BAD_PAYLOAD, "the keys of a map are strings")


def _plain(value: object) -> Value:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise EmitterError(Fault.BAD_PAYLOAD, "data has the types of JSON, binary data and dates")
