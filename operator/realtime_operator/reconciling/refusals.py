"""Actions that the platform has refused, and the times of their retries.

A refused action is retried after a pause that doubles; other actions of the cluster are not delayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from realtime_operator.builders.manifest import digest
from realtime_operator.planning.model.plan import (
    REFUSALS,
    Action,
    ApplyObject,
    CreateObject,
    EnsureSecret,
    Failure,
    IssueCertificate,
)
from realtime_operator.planning.status.findings import about
from realtime_operator.platforms.base import skipped

RETRY_SECONDS = (1.0, 30.0)
"""First and longest pause in seconds."""


@dataclass(slots=True)
class _Refusal:
    failure: Failure
    at: float
    pause: float


@dataclass(slots=True)
class Refusals:
    """Refused actions of one cluster. Times are monotonic seconds."""

    _known: dict[str, _Refusal] = field(default_factory=dict)

    def split(self, actions: Sequence[Action], now: float) -> tuple[tuple[Action, ...], tuple[Failure, ...]]:
        """Return the actions to try now, and as failures those that wait, with those that require them."""
        failures: list[Failure] = []
        tried: list[Action] = []
        for action in actions:
            known = self._known.get(_identity(action))
            if known is not None and now < known.at:
                failures.append(Failure(action, known.failure.kind, known.failure.message))
            elif (failure := skipped(action, failures)) is not None:
                failures.append(failure)
            else:
                tried.append(action)
        return tuple(tried), tuple(failures)

    def note(self, actions: Sequence[Action], tried: Sequence[Action], failures: Sequence[Failure], now: float) -> None:
        """Remember refused actions of `tried`; forget those that succeeded or are not in `actions`."""
        refused = {_identity(failure.action): failure for failure in failures if failure.kind in REFUSALS}
        planned, again = {_identity(action) for action in actions}, {_identity(action) for action in tried}
        before, self._known = self._known, {}
        for identity, known in before.items():
            if identity in planned and identity not in again:
                self._known[identity] = known
        for identity, failure in refused.items():
            earlier = before.get(identity)
            first, longest = RETRY_SECONDS
            pause = first if earlier is None else min(longest, 2 * earlier.pause)
            self._known[identity] = _Refusal(failure, now + pause, pause)

    def seconds_until_retry(self, now: float) -> float | None:
        """Return the seconds until the first retry; None when nothing waits."""
        return max(0.0, min(known.at for known in self._known.values()) - now) if self._known else None


def _identity(action: Action) -> str:
    """Return a key that is equal for equal actions on the same object, and differs for another manifest."""
    manifest = (
        action.manifest if isinstance(action, CreateObject | ApplyObject | EnsureSecret | IssueCertificate) else None
    )
    return f"{type(action).__name__} {about(action)} {digest(manifest) if manifest is not None else ''}"
