"""The errors that core, its ports and their drivers raise."""

from __future__ import annotations

from realtime_server.codes import DisconnectCode, ErrorCode


class BackplaneError(Exception):
    """The backplane could not be reached or did not answer in time."""


class CommandError(Exception):
    """A command or an API call failed with a code of the catalogue; the connection or the caller goes on.

    `why` is for callers of the API: what is wrong, and what would be right.
    """

    def __init__(self, error: ErrorCode, why: str = "") -> None:
        super().__init__(error.message)
        self.error = error
        self.why = why


class DisconnectRequestedError(Exception):
    """The backend wants the connection closed."""

    def __init__(self, code: DisconnectCode) -> None:
        super().__init__(code.reason)
        self.code = code
