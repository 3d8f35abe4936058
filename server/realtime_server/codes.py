"""Closed catalogues of reply errors, disconnect codes and unsubscribe codes.

Source: Centrifugo's client protocol. Clients act on the codes, people read the reasons. A disconnect code from 3500 to
3999 or from 4500 to 4999 is final, with any other one an SDK reconnects; with an unsubscribe code of 2500 or more it
subscribes again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

MAX_REASON_BYTES = 123
"""Maximum length of a reason in a close frame (RFC 6455, section 5.5)."""


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """Error in a reply: the command failed, the connection stays open."""

    code: int
    message: str
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class DisconnectCode:
    """Code and reason of the close frame with which the server closes a connection."""

    code: int
    reason: str

    @property
    def reconnect(self) -> bool:
        """True when an SDK connects again after this code."""
        return not (3500 <= self.code < 4000 or 4500 <= self.code < 5000)


def default_reason(code: int) -> str:
    """Return the default reason of a disconnect code; with an empty reason, final codes are not final to SDKs."""
    return next((known.reason for known in DISCONNECTS if known.code == code), "disconnect")


def fitting_reason(reason: str) -> str:
    """Return the longest beginning of a reason that fits into a close frame."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def is_json(reason: str) -> bool:
    """Return True for a reason by which SDKs would decide, instead of by the code, whether to reconnect.

    centrifuge-js and centrifuge-go read a reason that is JSON as the advice of older servers.
    """
    try:
        json.loads(fitting_reason(reason), parse_constant=_not_json)
    except ValueError:
        return False
    return True


def _not_json(name: str) -> float:
    raise ValueError(name)


@dataclass(frozen=True, slots=True)
class UnsubscribeCode:
    """Code and reason with which the server ends a subscription."""

    code: int
    reason: str

    @property
    def resubscribe(self) -> bool:
        """True when an SDK subscribes again after this code."""
        return self.code >= 2500


INTERNAL = ErrorCode(100, "internal server error", temporary=True)
UNAUTHORIZED = ErrorCode(101, "unauthorized")
UNKNOWN_CHANNEL = ErrorCode(102, "unknown channel")
PERMISSION_DENIED = ErrorCode(103, "permission denied")
METHOD_NOT_FOUND = ErrorCode(104, "method not found")
ALREADY_SUBSCRIBED = ErrorCode(105, "already subscribed")
LIMIT_EXCEEDED = ErrorCode(106, "limit exceeded")
BAD_REQUEST = ErrorCode(107, "bad request")
NOT_AVAILABLE = ErrorCode(108, "not available")
TOKEN_EXPIRED = ErrorCode(109, "token expired", temporary=True)
"""Temporary, because centrifuge-java would otherwise end a subscription for good; other SDKs go by the code."""
TOO_MANY_REQUESTS = ErrorCode(111, "too many requests", temporary=True)
UNRECOVERABLE_POSITION = ErrorCode(112, "unrecoverable position")

CONNECTION_CLOSED = DisconnectCode(3000, "connection closed")
SHUTDOWN = DisconnectCode(3001, "shutdown")
SERVER_ERROR = DisconnectCode(3004, "internal server error")
CONNECTION_EXPIRED = DisconnectCode(3005, "connection expired")
TOKEN_REVOKED = DisconnectCode(3005, "token revoked")
SUBSCRIPTION_EXPIRED = DisconnectCode(3006, "subscription expired")
SLOW = DisconnectCode(3008, "slow")
INSUFFICIENT_STATE = DisconnectCode(3010, "insufficient state")
FORCE_RECONNECT = DisconnectCode(3011, "force reconnect")
NO_PONG = DisconnectCode(3012, "no pong")
TOO_MANY_REQUESTS_DISCONNECT = DisconnectCode(3013, "too many requests")
STATE_INVALIDATED = DisconnectCode(3014, "state invalidated")
"""Sent on behalf of callers of the server API alone."""
INVALID_TOKEN = DisconnectCode(3500, "invalid token")
BAD_REQUEST_DISCONNECT = DisconnectCode(3501, "bad request")
STALE = DisconnectCode(3502, "stale")
FORCE_DISCONNECT = DisconnectCode(3503, "force disconnect")
CONNECTION_LIMIT = DisconnectCode(3504, "connection limit")
CHANNEL_LIMIT = DisconnectCode(3505, "channel limit")
INAPPROPRIATE_PROTOCOL = DisconnectCode(3506, "inappropriate protocol")
PERMISSION_DENIED_DISCONNECT = DisconnectCode(3507, "permission denied")
NOT_AVAILABLE_DISCONNECT = DisconnectCode(3508, "not available")

UNSUBSCRIBED = UnsubscribeCode(2000, "unsubscribed")
UNSUBSCRIBED_INSUFFICIENT_STATE = UnsubscribeCode(2500, "insufficient state")
UNSUBSCRIBED_EXPIRED = UnsubscribeCode(2501, "expired")
UNSUBSCRIBED_TOKEN_REVOKED = UnsubscribeCode(2501, "token revoked")

DISCONNECTS = tuple(code for code in tuple(globals().values()) if isinstance(code, DisconnectCode))
