"""Events of plain clients for backends: CloudEvents 1.0 in the binary mode of their HTTP binding.

Attributes are headers `ce-...`, the message is the body as the client has sent it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec
from cloudevents.core.bindings.http import to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from msgspec import Raw, Struct

from realtime_server.core.model.publication import as_json
from realtime_server.core.ports.backend import Caller, Disconnected
from realtime_server.core.ports.route_hooks import Opened, RouteMessage
from realtime_server.protocols.plain.request import TOKEN_PARAMETER
from realtime_server.protocols.plain.route_path import PREFIX
from realtime_server.protocols.plain.selection import CONNECT, DISCONNECT

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
BINARY_TYPE = "application/octet-stream"
_FORMAT = JSONFormat()
_PREFIX = "ce-"


class EventType(StrEnum):
    """Type of an event."""

    CONNECT = "dev.realtime.connect"
    MESSAGE = "dev.realtime.message"
    DISCONNECT = "dev.realtime.disconnect"


class HttpEvent(NamedTuple):
    """Event as the headers and the body of a request. Headers are in lower case."""

    headers: Mapping[str, str]
    body: bytes


class QueuedEvent(Struct, array_like=True):
    """Event in a queue."""

    headers: dict[str, str]
    body: bytes


def connect_event(route: str, caller: Caller, opened: Opened, unix_seconds: float) -> HttpEvent:
    """Return the event of a client that opens a connection. Its token is left out."""
    document: dict[str, object] = {
        "query": {name: list(values) for name, values in opened.query.items() if name != TOKEN_PARAMETER},
        "path": {name: values[0] for name, values in opened.path.items()},
        "channels": list(opened.channels),
        "transport": caller.transport.name,
        "remote_address": caller.transport.remote,
    }
    if caller.meta is not None:
        document["meta"] = Raw(caller.meta)
    body = msgspec.json.encode(document)
    return _event(EventType.CONNECT, route, caller, CONNECT, JSON_TYPE, body, unix_seconds)


def message_event(route: str, caller: Caller, message: RouteMessage, unix_seconds: float) -> HttpEvent:
    """Return the event of a message."""
    if message.binary:
        content_type = BINARY_TYPE
    else:
        content_type = JSON_TYPE if message.is_json or as_json(message.data) is not None else TEXT_TYPE
    return _event(EventType.MESSAGE, route, caller, message.key, content_type, message.data, unix_seconds)


def disconnect_event(route: str, caller: Caller, event: Disconnected, unix_seconds: float) -> HttpEvent:
    """Return the event of a connection that has ended."""
    document = {"code": event.code, "reason": event.reason, "connected_seconds": round(event.connected_seconds, 3)}
    body = msgspec.json.encode(document)
    return _event(EventType.DISCONNECT, route, caller, DISCONNECT, JSON_TYPE, body, unix_seconds)


def _event(
    kind: EventType, route: str, caller: Caller, action: str, content_type: str, body: bytes, unix_seconds: float
) -> HttpEvent:
    attributes: dict[str, object] = {
        "type": kind.value,
        "source": PREFIX + route,
        "time": datetime.fromtimestamp(round(unix_seconds, 3), UTC),
        "datacontenttype": content_type,
        "connectionid": caller.client,
        "action": action,
    }
    if caller.user:
        attributes["userid"] = caller.user
    message = to_binary(CloudEvent(attributes, body), _FORMAT)
    return HttpEvent({name.lower(): value for name, value in message.headers.items()}, message.body)


def to_queue(event: HttpEvent) -> bytes:
    """Encode an event for a queue."""
    return msgspec.json.encode(QueuedEvent(dict(event.headers), event.body))


def from_queue(queued: bytes) -> HttpEvent | None:
    """Decode an event of a queue; None for one that is not readable, of another release."""
    try:
        event = msgspec.json.decode(queued, type=QueuedEvent)
    except msgspec.DecodeError:
        return None
    return HttpEvent(event.headers, event.body)


def signed_part(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return what the signature of an event is of: its attributes, sorted, and the body.

    Were it of the body alone, a request that was overheard could be sent again as one of another user.
    """
    lines = [f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith(_PREFIX)]
    return "".join([*lines, "\n"]).encode() + body


def sign_event(headers: Mapping[str, str], body: bytes, secret: str, unix_seconds: int) -> str:
    """Return the value of the signature's header: `t=UNIX_SECONDS,v2=HMAC`, HMAC-SHA256 in hexadecimal."""
    message = b"%d." % unix_seconds + signed_part(headers, body)
    return f"t={unix_seconds},v2={hmac.digest(secret.encode(), message, 'sha256').hex()}"
