"""Errors of decoding what a Socket.IO client or an emitter sends; nothing else is raised.

    SocketIoError
    ├── EngineError    a packet or a payload of Engine.IO
    ├── PacketError    a packet of Socket.IO, or its attachments
    └── EmitterError   a message of an emitter

After one of the first two the connection is to be closed, as the reference server does ("parse error").
"""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Closed catalogue of what can be wrong; the values are stable."""

    EMPTY = "empty"
    UNKNOWN_TYPE = "unknown_type"
    TOO_LARGE = "too_large"
    BAD_BASE64 = "bad_base64"
    BAD_ATTACHMENT_COUNT = "bad_attachment_count"
    TOO_MANY_ATTACHMENTS = "too_many_attachments"
    BAD_PLACEHOLDER = "bad_placeholder"
    UNEXPECTED_TEXT = "unexpected_text"
    UNEXPECTED_BINARY = "unexpected_binary"
    BAD_ID = "bad_id"
    BAD_UTF8 = "bad_utf8"
    BAD_JSON = "bad_json"
    BAD_PAYLOAD = "bad_payload"
    RESERVED_EVENT = "reserved_event"
    TOO_DEEP = "too_deep"
    BAD_MSGPACK = "bad_msgpack"
    TOO_MANY_ROOMS = "too_many_rooms"
    UNKNOWN_NAMESPACE = "unknown_namespace"
    UNSUPPORTED = "unsupported"
    PICKLED = "pickled"


class SocketIoError(Exception):
    """Failure to decode; `why` says what would be right, without repeating what was sent."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(why)
        self.fault = fault
        self.why = why


class EngineError(SocketIoError):
    """Failure to decode a packet or a payload of Engine.IO."""


class PacketError(SocketIoError):
    """Failure to decode a packet of Socket.IO."""


class EmitterError(SocketIoError):
    """Failure to decode a message of an emitter, or a message that cannot be carried out."""
