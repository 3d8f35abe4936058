"""What a token says, read from its JSON: connection and subscription tokens as Centrifugo's SDKs send them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from realtime_server.core.grant import PLAIN, Grant

Decoded = Mapping[str, object]
"""The payload of a token whose signature is right."""


class ClaimError(ValueError):
    """A claim is not what it has to be; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token or the backend says of a client.

    `expires_at` is Unix time in seconds, None for never; `info` is raw JSON that others see, `meta` raw JSON for the
    backend alone. The server subscribes the client to `channels`, under the conditions of `grants` if they are there.
    """

    user: str
    expires_at: float | None = None
    info: bytes | None = None
    channels: tuple[str, ...] = ()
    grants: Mapping[str, Grant] | None = None
    meta: bytes | None = None
    renewed_by_hook: bool = False
    """Whether the backend is asked when its time is over, instead of the client."""


def connection_claims(decoded: Decoded) -> Claims:
    """The claims of a connection token; raises ClaimError."""
    channels = _strings(decoded, "channels")
    grants = _grants(decoded)
    meta = decoded.get("meta")
    return Claims(
        user=_user(decoded),
        expires_at=_expiry(decoded),
        info=_raw(decoded, "info"),
        channels=(*channels, *(name for name in grants if name not in channels)),
        grants=grants or None,
        meta=None if meta is None else _encode(meta),
    )


def subscription_grant(decoded: Decoded, *, channel: str, user: str) -> Grant:
    """The grant of a subscription token, which has to be for this channel and this user; raises ClaimError."""
    if decoded.get("channel") != channel:
        raise ClaimError("channel: the token is for another one")
    if _user(decoded) != user:
        raise ClaimError("sub: the token is for another user")
    return Grant(info=_raw(decoded, "info"), data=_raw(decoded, "data"), expires_at=_expiry(decoded))


def _user(decoded: Decoded) -> str:
    user = decoded.get("sub")
    if not isinstance(user, str):
        raise ClaimError("sub: has to be a string")
    return user


def _expiry(decoded: Decoded) -> float | None:
    """When what the token lets in ends: `expire_at` (0: never), or else when the token itself does."""
    at = decoded.get("expire_at", decoded.get("exp"))
    if at is None:
        return None
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise ClaimError("expire_at: has to be a number of seconds since 1970")
    return float(at) or None


def _grants(decoded: Decoded) -> dict[str, Grant]:
    subs = decoded.get("subs")
    if subs is None:
        return {}
    if not isinstance(subs, dict):
        raise ClaimError("subs: has to be an object with a field for each channel")
    return {str(channel): _grant(options) for channel, options in subs.items()}


def _grant(options: object) -> Grant:
    if not isinstance(options, dict):
        raise ClaimError("subs: the options of a channel have to be an object")
    if options.get("override"):
        raise ClaimError("subs: override is not supported")
    if not options:
        return PLAIN
    return Grant(info=_raw(options, "info"), data=_raw(options, "data"))


def _raw(decoded: Decoded, name: str) -> bytes | None:
    """A claim as raw JSON, or what its base64 twin (`b64info`) has in it, which has to be JSON too."""
    value = decoded.get(name)
    if value is not None:
        return _encode(value)
    encoded = decoded.get(f"b64{name}")
    if encoded is None:
        return None
    try:
        return _encode(msgspec.json.decode(base64.b64decode(str(encoded), validate=True)))
    except (ValueError, RecursionError) as error:
        raise ClaimError(f"b64{name}: has to be JSON in base64") from error


def _strings(decoded: Decoded, name: str) -> tuple[str, ...]:
    values = decoded.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ClaimError(f"{name}: has to be a list of strings")
    return tuple(dict.fromkeys(str(value) for value in values))


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value)
