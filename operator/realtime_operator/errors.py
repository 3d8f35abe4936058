"""Exceptions of the operator.

OperatorError
├── SettingsError          the environment is invalid
├── InputError             input of the user is invalid: a file, an argument
├── PlatformError          a request was not carried out; the cluster is reconciled again
│   ├── ForbiddenError     a permission is missing; the text names it
│   ├── ConflictError      the object exists already, or was changed concurrently
│   ├── NameTakenError     an object of that name exists that the cluster does not own
│   ├── NotFoundError      the object does not exist
│   ├── InvalidObjectError  fields of the object are invalid
│   ├── UnreachableError   the API server or a server did not answer in time
│   ├── StateFolderError   the folder of the local platform cannot be used
│   └── AlreadyRunningError  another process runs the local platform of this folder
└── LeaseLostError         the process is no longer the leader
"""

from __future__ import annotations

from collections.abc import Sequence

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


class OperatorError(Exception):
    """Base of all errors of the operator."""


class SettingsError(OperatorError):
    """The environment is invalid; the text has one line for each problem."""


class PlatformError(OperatorError):
    """The platform did not carry out a request; the cluster is reconciled again."""


class ForbiddenError(PlatformError):
    """A permission is missing."""


class ConflictError(PlatformError):
    """The object exists already, or was changed concurrently."""


class NameTakenError(PlatformError):
    """An object of that name exists that the cluster does not own."""


class NotFoundError(PlatformError):
    """The object does not exist."""


class InvalidObjectError(PlatformError):
    """Fields of the object are invalid; `causes` has the path of each, empty when it is not known, and a message."""

    def __init__(self, text: str, causes: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.causes = tuple(causes)


class UnreachableError(PlatformError):
    """The API server or a server did not answer in time."""


class StateFolderError(PlatformError):
    """The folder of the local platform cannot be used."""


class AlreadyRunningError(PlatformError):
    """Another process runs the local platform of this folder."""


class InputError(OperatorError):
    """Input of the user (a file, an argument) is invalid; the text says what would be valid."""


class LeaseLostError(OperatorError):
    """The process is no longer the leader and must end at once."""
