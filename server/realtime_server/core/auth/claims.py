"""What a token says, read from its JSON: connection and subscription tokens as Centrifugo's SDKs send them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType

from realtime_server.core.auth.capabilities import Capability, PatternError, check
from realtime_server.core.model.grant import AS_THE_NAMESPACE, PLAIN, Grant, Override
from realtime_server.core.model.nesting import check_nesting
from realtime_server.core.model.revocation import Credential

MAX_INFO_BYTES = 8192
"""Of what others see of a client, which goes along with all that it publishes, and is kept while it is there."""


class ClaimError(ValueError):
    """A claim is not what it has to be; the text says which and why."""


class Claims(msgspec.Struct, frozen=True):
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
    capabilities: tuple[Capability, ...] = ()
    """What the client may do besides what the options of a channel allow."""
    credential: Credential | None = None
    """The token or the answer of the backend that it is from, None for a client without either."""


class SubscriptionOptions(msgspec.Struct):
    """What `subs` says of one channel."""

    info: object = None
    b64info: str | None = None
    data: object = None
    b64data: str | None = None
    override: Override | None = None


class Payload(msgspec.Struct):
    """The claims of a token, before anything but their types was looked at. What is not listed here is ignored.

    Times are Unix times in seconds; a number in a string is one too, as in Centrifugo. Without `sub` the user is an
    anonymous one. Only `expire_at`, and what is not there in a token at all, may be null: a null `exp` would be a token
    without end that nobody asked for.
    """

    sub: str = ""
    exp: float | str | UnsetType = UNSET
    nbf: float | str | UnsetType = UNSET
    iat: float | str | UnsetType = UNSET
    jti: object = None
    iss: object = None
    aud: object = None
    info: object = None
    b64info: str | None = None
    meta: object = None
    expire_at: float | None = None
    channels: tuple[str, ...] | None = None
    subs: dict[str, SubscriptionOptions] | None = None
    caps: tuple[Capability, ...] | None = None
    channel: str = ""
    data: object = None
    b64data: str | None = None
    override: Override | None = None


_DECODER = msgspec.json.Decoder(Payload)
_PLACE = re.compile(r" - at `\$\.(.+)`$")
"""Where msgspec says that something is wrong, at the end of an error."""


def read_payload(encoded: bytes) -> Payload:
    """The claims in the payload of a token; raises ClaimError, whose text has nothing of their values."""
    try:
        check_nesting(encoded)
        return _DECODER.decode(encoded)
    except (ValueError, RecursionError) as error:  # msgspec's and Unicode's errors are ValueErrors
        found = _PLACE.search(str(error))
        raise ClaimError(f"{found[1]}: has a wrong type or value" if found else "payload: is no JSON object") from error


def moment(name: str, claim: float | str | UnsetType) -> float | None:
    """Return the Unix time in seconds that a claim says, None if it is not there; raises ClaimError."""
    if claim is UNSET:
        return None
    if not isinstance(claim, str):
        return claim
    try:
        return msgspec.json.decode(claim, type=float)
    except ValueError as error:
        raise ClaimError(f"{name}: is no number") from error


def connection_claims(payload: Payload) -> Claims:
    """The claims of a connection token; raises ClaimError.

    `channels` count where there are no `subs`, as in Centrifugo.
    """
    if payload.channel:
        raise ClaimError("channel: the token is for a subscription")
    expires_at = _expiry(payload)
    if payload.subs is None and payload.channels is None and payload.meta is None and payload.caps is None:
        info = _info(payload.info, payload.b64info)
        return Claims(payload.sub, expires_at, info, credential=_credential(payload))
    grants = {channel: _grant(options) for channel, options in (payload.subs or {}).items()}
    return Claims(
        user=payload.sub,
        expires_at=expires_at,
        info=_info(payload.info, payload.b64info),
        channels=tuple(grants or dict.fromkeys(payload.channels or ())),
        grants=grants or None,
        meta=None if payload.meta is None else msgspec.json.encode(payload.meta),
        capabilities=_capabilities(payload.caps),
        credential=_credential(payload),
    )


def subscription_grant(payload: Payload, *, channel: str, user: str) -> Grant:
    """The grant of a subscription token, which has to be for this channel and this user; raises ClaimError."""
    if payload.channel != channel:
        raise ClaimError("channel: the token is for another one")
    if payload.sub != user:
        raise ClaimError("sub: the token is for another user")
    return Grant(
        info=_info(payload.info, payload.b64info),
        data=_raw("data", payload.data, payload.b64data),
        expires_at=_expiry(payload),
        override=payload.override or AS_THE_NAMESPACE,
        credential=_credential(payload),
    )


def _credential(payload: Payload) -> Credential:
    jti = payload.jti if isinstance(payload.jti, str) else ""
    return Credential(payload.sub, jti, moment("iat", payload.iat))


def _expiry(payload: Payload) -> float | None:
    """When what the token lets in ends: `expire_at` (0: never), or else when the token itself does."""
    if payload.expire_at is not None:
        return payload.expire_at or None
    return moment("exp", payload.exp)


def _capabilities(claim: tuple[Capability, ...] | None) -> tuple[Capability, ...]:
    try:
        check(claim or ())
    except PatternError as error:
        raise ClaimError("caps: has a pattern that cannot be used") from error
    return claim or ()


def _grant(options: SubscriptionOptions) -> Grant:
    info = _info(options.info, options.b64info)
    data = _raw("data", options.data, options.b64data)
    if info is None and data is None and options.override is None:
        return PLAIN
    return Grant(info=info, data=data, override=options.override or AS_THE_NAMESPACE)


def _info(value: object, encoded: str | None) -> bytes | None:
    """What others see; raises ClaimError for too much of it."""
    found = _raw("info", value, encoded)
    if found is not None and len(found) > MAX_INFO_BYTES:
        raise ClaimError(f"info: has more than {MAX_INFO_BYTES} bytes")
    return found


def _raw(name: str, value: object, encoded: str | None) -> bytes | None:
    """A claim as JSON without white space, or what its base64 twin (`b64info`) has in it, which has to be JSON too."""
    if value is not None:
        return msgspec.json.encode(value)
    if encoded is None:
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True)
        check_nesting(decoded)
        return msgspec.json.encode(msgspec.json.decode(decoded))
    except (ValueError, RecursionError) as error:
        raise ClaimError(f"b64{name}: has to be JSON in base64") from error
