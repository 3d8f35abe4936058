"""What is sent to the backend and what it answers, as JSON: the shapes of Centrifugo's proxy protocol.

Data of clients goes as `data` when it is JSON, in base64 as `b64data` when it is not; answers may have either.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from realtime_server.codes import DisconnectCode, ErrorCode, default_reason, is_json
from realtime_server.core.auth.capabilities import Capability, PatternError, check
from realtime_server.core.auth.claims import MAX_INFO_BYTES, Claims
from realtime_server.core.model.grant import AS_THE_NAMESPACE, Grant, Override
from realtime_server.core.model.publication import as_json
from realtime_server.core.ports.backend import Caller, Connected, Connecting, Published, Refreshed

NONE = Raw()
Answer = TypeVar("Answer")


class InvalidAnswerError(Exception):
    """The backend answered something that cannot be followed; the text says what."""


class Error(Struct):
    """The command of the client fails with this error."""

    code: int
    message: str = ""
    temporary: bool = False

    def to_code(self) -> ErrorCode:
        """As core knows it; raises InvalidAnswerError."""
        if not 400 <= self.code <= 1999:
            raise InvalidAnswerError(f"error.code: has to be from 400 to 1999, is {self.code}")
        return ErrorCode(self.code, self.message or "error", self.temporary)


class Disconnect(Struct):
    """The connection is closed with this code."""

    code: int
    reason: str = ""

    def to_code(self) -> DisconnectCode:
        """As core knows it; raises InvalidAnswerError."""
        if not 4000 <= self.code <= 4999:
            raise InvalidAnswerError(f"disconnect.code: has to be from 4000 to 4999, is {self.code}")
        reason = self.reason or default_reason(self.code)
        # An SDK would decide by it whether to come back; to refuse the whole answer might let the client stay.
        return DisconnectCode(self.code, f"reason: {reason}" if is_json(reason) else reason)


class Reply(Struct, Generic[Answer]):
    """One of the three."""

    result: Answer | None = None
    error: Error | None = None
    disconnect: Disconnect | None = None


class Subscription(Struct):
    """A channel that the server subscribes a client to."""

    info: Raw = NONE
    b64info: str = ""
    data: Raw = NONE
    b64data: str = ""
    expire_at: int = 0
    override: Override | None = None

    def to_grant(self, *, renewed: bool) -> Grant:
        """As core knows it; raises InvalidAnswerError."""
        return Grant(
            info=_info(self.info, self.b64info),
            data=_data(self.data, self.b64data),
            expires_at=float(self.expire_at) or None,
            renewed_by_hook=renewed,
            override=self.override or AS_THE_NAMESPACE,
        )


class ConnectAnswer(Struct):
    """Who the client is."""

    user: str = ""
    expire_at: int = 0
    info: Raw = NONE
    b64info: str = ""
    data: Raw = NONE
    b64data: str = ""
    channels: list[str] = []
    subs: dict[str, Subscription] = {}
    meta: Raw = NONE
    caps: list[Capability] | None = None

    def to_connected(self, *, renewed: bool) -> Connected:
        """As core knows it; `renewed`: the backend is asked again when it expires. Raises InvalidAnswerError."""
        try:
            check(self.caps or ())
        except PatternError as error:
            raise InvalidAnswerError(f"caps: {error}") from error
        grants = {channel: sub.to_grant(renewed=renewed) for channel, sub in self.subs.items()}
        claims = Claims(
            user=self.user,
            expires_at=float(self.expire_at) or None,
            info=_info(self.info, self.b64info),
            channels=tuple(dict.fromkeys([*self.channels, *self.subs])),
            grants=grants or None,
            meta=bytes(self.meta) or None,
            renewed_by_hook=renewed,
            capabilities=tuple(self.caps or ()),
        )
        return Connected(claims, _data(self.data, self.b64data))


class RefreshAnswer(Struct):
    """How long a connection or a subscription goes on."""

    expired: bool = False
    expire_at: int = 0
    info: Raw = NONE
    b64info: str = ""

    def to_refreshed(self) -> Refreshed:
        """As core knows it; raises InvalidAnswerError."""
        return Refreshed(float(self.expire_at) or None, _info(self.info, self.b64info), self.expired)


class PublishAnswer(Struct):
    """What is published."""

    data: Raw = NONE
    b64data: str = ""
    skip_history: bool = False

    def to_published(self) -> Published:
        """As core knows it; raises InvalidAnswerError."""
        return Published(_data(self.data, self.b64data), self.skip_history)


class RpcAnswer(Struct):
    """What the client is answered."""

    data: Raw = NONE
    b64data: str = ""

    def to_data(self) -> bytes:
        """Raw data, `null` for none; raises InvalidAnswerError."""
        return _data(self.data, self.b64data) or b"null"


def connect_request(request: Connecting) -> bytes:
    """The body of a question about a client that wants to come in."""
    document = _caller(request.caller)
    document |= {"name": request.name, "version": request.version, "channels": list(request.channels)}
    return encode(document | _client_data(request.data))


def request_of(caller: Caller, **fields: object) -> bytes:
    """The body of any other question; `data` are the bytes that the client sent."""
    data = fields.pop("data", None)
    document = _caller(caller) | {"user": caller.user} | fields
    if caller.meta is not None:
        document["meta"] = Raw(caller.meta)
    return encode(document | (_client_data(data) if isinstance(data, bytes) else {}))


def encode(document: Mapping[str, object]) -> bytes:
    """JSON, without the fields that are empty."""
    return msgspec.json.encode({name: value for name, value in document.items() if value not in ("", None, [])})


def _caller(caller: Caller) -> dict[str, object]:
    transport = caller.transport
    binary = transport.encoding != "json"
    return {
        "client": caller.client,
        "transport": transport.name,
        "protocol": transport.encoding,
        "encoding": "binary" if binary else "json",
        "remote_address": transport.remote,
    }


def _client_data(data: bytes) -> dict[str, object]:
    if not data:
        return {}
    found = as_json(data)
    return {"b64data": base64.b64encode(data).decode()} if found is None else {"data": Raw(found)}


def _data(data: Raw, b64data: str) -> bytes | None:
    if b64data:
        return _from_base64("b64data", b64data)
    return bytes(data) or None


def _info(info: Raw, b64info: str) -> bytes | None:
    found = as_json(_from_base64("b64info", b64info)) if b64info else bytes(info)
    if found is None:
        raise InvalidAnswerError("b64info: has to be JSON in base64")
    if len(found) > MAX_INFO_BYTES:
        raise InvalidAnswerError(f"info: has more than {MAX_INFO_BYTES} bytes")
    return found or None


def _from_base64(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise InvalidAnswerError(f"{name}: is not base64") from error
