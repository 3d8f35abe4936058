"""Unidirectional clients, which see no replies: an error of their connect becomes a disconnect."""

from __future__ import annotations

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode

_CODES = {
    codes.UNAUTHORIZED: codes.INVALID_TOKEN,
    codes.UNKNOWN_CHANNEL: codes.PERMISSION_DENIED_DISCONNECT,
    codes.PERMISSION_DENIED: codes.PERMISSION_DENIED_DISCONNECT,
    codes.LIMIT_EXCEEDED: codes.CHANNEL_LIMIT,
    codes.BAD_REQUEST: codes.BAD_REQUEST_DISCONNECT,
    codes.NOT_AVAILABLE: codes.NOT_AVAILABLE_DISCONNECT,
    codes.TOKEN_EXPIRED: codes.CONNECTION_EXPIRED,
    codes.TOO_MANY_REQUESTS: codes.TOO_MANY_REQUESTS_DISCONNECT,
    codes.UNRECOVERABLE_POSITION: codes.INSUFFICIENT_STATE,
}


def disconnect_of(error: ErrorCode) -> DisconnectCode:
    """Return the disconnect code for an error of a command; 3004 for errors of the server or of the backend."""
    return _CODES.get(error, codes.SERVER_ERROR)
