"""Claims of connection and subscription tokens, decoded from the JSON that Centrifugo's SDKs send."""

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
"""Maximum size of the info that others see: each publication carries it, and presence keeps it."""


class ClaimError(ValueError):
    """Invalid claim; the text says which and why, without its value."""


class Claims(msgspec.Struct, frozen=True):
    """Identity and rights of a client, from a token or the backend.

    `expires_at` is Unix time in seconds, None for never; `info` is raw JSON that others see, `meta` raw JSON for the
    backend alone. The server subscribes the client to `channels`, under the conditions of `grants` where there are any.
    """

    user: str
    expires_at: float | None = None
    info: bytes | None = None
    channels: tuple[str, ...] = ()
    grants: Mapping[str, Grant] | None = None
    meta: bytes | None = None
    renewed_by_hook: bool = False
    """True when the backend renews the connection on expiry, instead of the client."""
    capabilities: tuple[Capability, ...] = ()
    """Permissions in addition to those of the channels' options."""
    credential: Credential | None = None
    """Token or answer of the backend that it is from, None for a client without either."""


class SubscriptionOptions(msgspec.Struct):
    """Value of one channel in the claim `subs`."""

    info: object = None
    b64info: str | None = None
    data: object = None
    b64data: str | None = None
    override: Override | None = None


class Payload(msgspec.Struct):
    """Claims of a token with their types checked, but nothing else. Other claims are ignored.

    Times are Unix times in seconds, as a number or, as in Centrifugo, a number in a string. Without `sub` the user is
    anonymous. Null is accepted for optional claims only: a null `exp` would make a token that never expires by
    accident. `jti` is a string (RFC 7519, section 4.1.7): no revocation could name a number.
    """

    sub: str = ""
    exp: float | str | UnsetType = UNSET
    nbf: float | str | UnsetType = UNSET
    iat: float | str | UnsetType = UNSET
    jti: str | None = None
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
"""Position of the fault at the end of an error of msgspec."""


def read_payload(encoded: bytes) -> Payload:
    """Decode the payload of a token. Raises ClaimError, whose text contains no values of claims."""
    try:
        check_nesting(encoded)
        return _DECODER.decode(encoded)
    except (ValueError, RecursionError) as error:  # msgspec's and Unicode's errors are ValueErrors
        found = _PLACE.search(str(error))
        raise ClaimError(f"{found[1]}: has a wrong type or value" if found else "payload: is no JSON object") from error


def moment(name: str, claim: float | str | UnsetType) -> float | None:
    """Return the Unix time in seconds of a claim, None if it is absent. Raises ClaimError."""
    if claim is UNSET:
        return None
    if not isinstance(claim, str):
        return claim
    try:
        return msgspec.json.decode(claim, type=float)
    except ValueError as error:
        raise ClaimError(f"{name}: is no number") from error


def connection_claims(payload: Payload) -> Claims:
    """Return the claims of a connection token. Raises ClaimError.

    `channels` count only without `subs`, as in Centrifugo.
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
    """Return the grant of a subscription token for this channel and this user. Raises ClaimError."""
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
    return Credential(payload.sub, payload.jti or "", moment("iat", payload.iat))


def _expiry(payload: Payload) -> float | None:
    """Return the expiry of what the token lets in: `expire_at` (0: never), or else that of the token."""
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
    """Return the info that others see. Raises ClaimError when it is too large."""
    found = _raw("info", value, encoded)
    if found is not None and len(found) > MAX_INFO_BYTES:
        raise ClaimError(f"info: has more than {MAX_INFO_BYTES} bytes")
    return found


def _raw(name: str, value: object, encoded: str | None) -> bytes | None:
    """Return a claim, or the JSON in its base64 twin (`b64info`), as JSON without white space; None for neither.

    Raises ClaimError.
    """
    if value is not None:
        return msgspec.json.encode(value)
    if encoded is None:
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True)
        check_nesting(decoded)
        return msgspec.json.encode(msgspec.json.decode(decoded))
    except (ValueError, RecursionError) as error:
        raise ClaimError(f"b64{name}: must be JSON in base64") from error
