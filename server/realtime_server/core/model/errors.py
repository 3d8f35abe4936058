"""Errors that core, its ports and their drivers raise."""

from __future__ import annotations

from realtime_server.codes import DisconnectCode, ErrorCode


class BackplaneError(Exception):
    """Failure to reach the backplane, or to get its answer in time."""


class UnknownNodeError(Exception):
    """Failure because no living worker with this uid is known."""


class AskError(Exception):
    """Failure of an ask at a worker that is alive."""


class UnknownNameError(AskError):
    """Failure because that worker answers no asks for this name."""


class TooManyAsksError(AskError):
    """Failure because one of the two workers has too many open asks."""


class AskFailedError(AskError):
    """Failure of that worker to make an answer; it has reported the cause."""


class CommandError(Exception):
    """Failure of a command or an API call with a code of the catalogue; the connection stays open.

    `why` is for callers of the API: the fault, and what would be right.
    """

    def __init__(self, error: ErrorCode, why: str = "") -> None:
        super().__init__(error.message)
        self.error = error
        self.why = why


class DisconnectRequestedError(Exception):
    """Request of the backend to close the connection."""

    def __init__(self, code: DisconnectCode) -> None:
        super().__init__(code.reason)
        self.code = code
