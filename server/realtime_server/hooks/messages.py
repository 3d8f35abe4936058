"""Requests to the backend and its answers as JSON, with the fields of Centrifugo's proxy protocol.

Client data is sent as `data` when it is JSON, otherwise in base64 as `b64data`; answers may contain either.
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
    """Answer of the backend that cannot be applied; the text names the field and the fault."""


class Error(Struct):
    """Error that the client's command is answered with."""

    code: int
    message: str = ""
    temporary: bool = False

    def to_code(self) -> ErrorCode:
        """Convert to core's error code. Raises InvalidAnswerError for a code outside 400 to 1999."""
        if not 400 <= self.code <= 1999:
            raise InvalidAnswerError(f"error.code: must be from 400 to 1999, but is {self.code}")
        return ErrorCode(self.code, self.message or "error", self.temporary)


class Disconnect(Struct):
    """Code and reason that the connection is closed with."""

    code: int
    reason: str = ""

    def to_code(self) -> DisconnectCode:
        """Convert to core's disconnect code. Raises InvalidAnswerError for a code outside 4000 to 4999."""
        if not 4000 <= self.code <= 4999:
            raise InvalidAnswerError(f"disconnect.code: must be from 4000 to 4999, but is {self.code}")
        reason = self.reason or default_reason(self.code)
        # SDKs decide by the reason too; refusing the whole answer instead could let the client stay connected.
        return DisconnectCode(self.code, f"reason: {reason}" if is_json(reason) else reason)


class Reply(Struct, Generic[Answer]):
    """Envelope of an answer; `disconnect` takes precedence over `error`, and `error` over `result`."""

    result: Answer | None = None
    error: Error | None = None
    disconnect: Disconnect | None = None


class Subscription(Struct):
    """Subscription that the backend grants, to one channel."""

    info: Raw = NONE
    b64info: str = ""
    data: Raw = NONE
    b64data: str = ""
    expire_at: int = 0
    override: Override | None = None

    def to_grant(self, *, renewed: bool) -> Grant:
        """Convert to core's grant; `renewed`: the sub_refresh hook is called on expiry. Raises InvalidAnswerError."""
        return Grant(
            info=_info(self.info, self.b64info),
            data=_data(self.data, self.b64data),
            expires_at=float(self.expire_at) or None,
            renewed_by_hook=renewed,
            override=self.override or AS_THE_NAMESPACE,
        )


class ConnectAnswer(Struct):
    """Result of the connect hook: the client's identity, subscriptions and capabilities."""

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
        """Convert to core's result; `renewed`: the refresh hook is called on expiry. Raises InvalidAnswerError."""
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
    """Result of the refresh and sub_refresh hooks: the new expiry, in Unix seconds."""

    expired: bool = False
    expire_at: int = 0
    info: Raw = NONE
    b64info: str = ""

    def to_refreshed(self) -> Refreshed:
        """Convert to core's result. Raises InvalidAnswerError for an invalid info."""
        return Refreshed(float(self.expire_at) or None, _info(self.info, self.b64info), self.expired)


class PublishAnswer(Struct):
    """Result of the publish hook: the data to publish in place of the client's; none keeps it."""

    data: Raw = NONE
    b64data: str = ""
    skip_history: bool = False

    def to_published(self) -> Published:
        """Convert to core's result. Raises InvalidAnswerError for invalid base64."""
        return Published(_data(self.data, self.b64data), self.skip_history)


class RpcAnswer(Struct):
    """Result of the rpc hook: the data of the reply."""

    data: Raw = NONE
    b64data: str = ""

    def to_data(self) -> bytes:
        """Return the raw data, `null` for none. Raises InvalidAnswerError for invalid base64."""
        return _data(self.data, self.b64data) or b"null"


def connect_request(request: Connecting) -> bytes:
    """Encode the body of a connect request."""
    document = _caller(request.caller)
    document |= {"name": request.name, "version": request.version, "channels": list(request.channels)}
    return encode(document | _client_data(request.data))


def request_of(caller: Caller, **fields: object) -> bytes:
    """Encode the body of any other request; `data`, if given, are the bytes that the client sent."""
    data = fields.pop("data", None)
    document = _caller(caller) | {"user": caller.user} | fields
    if caller.meta is not None:
        document["meta"] = Raw(caller.meta)
    return encode(document | (_client_data(data) if isinstance(data, bytes) else {}))


def encode(document: Mapping[str, object]) -> bytes:
    """Encode a document as JSON, without its empty fields."""
    return msgspec.json.encode({name: value for name, value in document.items() if value not in ("", None, [])})


def _caller(caller: Caller) -> dict[str, object]:
    transport = caller.transport
    return {
        "client": caller.client,
        "transport": transport.name,
        "protocol": transport.protocol,
        "encoding": transport.encoding,
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
        raise InvalidAnswerError("b64info: must be JSON in base64")
    if len(found) > MAX_INFO_BYTES:
        raise InvalidAnswerError(f"info: has more than {MAX_INFO_BYTES} bytes")
    return found or None


def _from_base64(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise InvalidAnswerError(f"{name}: is not base64") from error
