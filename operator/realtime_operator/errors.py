"""What can go wrong in the operator.

OperatorError
├── SettingsError          the environment cannot be used
├── PlatformError          the platform did not do what it was asked for; the key is tried again
│   ├── ForbiddenError     a permission is missing; says which
│   ├── ConflictError      somebody else changed or owns the object
│   ├── NotFoundError      the object is not there
│   └── UnreachableError   no answer in time
└── LeaseLostError         this process leads no longer
"""

from __future__ import annotations


class OperatorError(Exception):
    """Base of all errors of the operator."""


class SettingsError(OperatorError):
    """The environment cannot be used; one line for each problem."""


class PlatformError(OperatorError):
    """The platform did not do what it was asked for."""


class ForbiddenError(PlatformError):
    """A permission is missing."""


class ConflictError(PlatformError):
    """Somebody else changed or owns the object."""


class NotFoundError(PlatformError):
    """The object is not there."""


class UnreachableError(PlatformError):
    """No answer in time."""


class LeaseLostError(OperatorError):
    """The process leads no longer: it must end at once."""
