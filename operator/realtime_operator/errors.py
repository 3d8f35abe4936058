"""What can go wrong in the operator.

OperatorError
├── SettingsError          the environment cannot be used
├── InputError             what a person gave cannot be used: a file, an argument; says what would be right
├── PlatformError          the platform did not do what it was asked for; the key is tried again
│   ├── ForbiddenError     a permission is missing; says which
│   ├── ConflictError      the object is there already, or somebody has changed it meanwhile
│   ├── NameTakenError     an object of that name is there, and the cluster does not own it
│   ├── NotFoundError      the object is not there
│   ├── UnreachableError   no answer in time
│   ├── StateFolderError   the folder of the local platform cannot be used
│   └── AlreadyRunningError  another process runs the local platform of this folder
└── LeaseLostError         this process leads no longer
"""

from __future__ import annotations

INTERRUPTED = 130
"""Exit code after Ctrl-C, as of a shell."""


class OperatorError(Exception):
    """Base of all errors of the operator."""


class SettingsError(OperatorError):
    """The environment cannot be used; one line for each problem."""


class PlatformError(OperatorError):
    """The platform did not do what it was asked for."""


class ForbiddenError(PlatformError):
    """A permission is missing."""


class ConflictError(PlatformError):
    """The object is there already, or somebody has changed it meanwhile."""


class NameTakenError(PlatformError):
    """An object of that name is there, and the cluster does not own it."""


class NotFoundError(PlatformError):
    """The object is not there."""


class UnreachableError(PlatformError):
    """No answer in time."""


class StateFolderError(PlatformError):
    """The folder of the local platform cannot be used."""


class AlreadyRunningError(PlatformError):
    """Another process runs the local platform of this folder."""


class InputError(OperatorError):
    """What a person gave cannot be used; the text says what would be right."""


class LeaseLostError(OperatorError):
    """The process leads no longer: it must end at once."""
