"""Correlation of Events, as in client-go's EventCorrelator (tools/record/events_cache.go). Pure.

A repeated Event keeps its name, so that its count increases, also after a restart of the operator. Many Events that
differ in their message only are aggregated. Their rate is not limited: reasons are a closed set, and each Event is
emitted at a transition.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from realtime_operator.planning.model.plan import EmitEvent

MAX_SIMILAR = 10
"""Number of different messages of one reason within INTERVAL_SECONDS from which on they are aggregated."""
INTERVAL_SECONDS = 600.0
"""Seconds without a similar Event after which aggregation ends."""
MAX_REMEMBERED = 4096
"""Upper bound of remembered reasons; the least recently used are forgotten."""
AGGREGATED = "(combined from similar events): "
MAX_MESSAGE = 1024
"""Longest message of an Event that the API server accepts, in characters."""


@dataclass(frozen=True, slots=True)
class CorrelatedEvent:
    """The name and the message that an Event is stored with."""

    name: str
    message: str


@dataclass(slots=True)
class _Similar:
    at: float
    messages: set[str] = field(default_factory=set)


class EventCorrelator:
    """Memory of the Events of one process."""

    def __init__(self) -> None:
        self._similar: OrderedDict[tuple[str, str, str], _Similar] = OrderedDict()

    def correlate(self, cluster: str, uid: str, event: EmitEvent, now: float) -> CorrelatedEvent:
        """Return the name and the message to store an Event about a cluster under; `now` is monotonic seconds."""
        key = (uid, event.type.value, event.reason)
        similar = self._similar.pop(key, None)
        if similar is None or now - similar.at > INTERVAL_SECONDS:
            similar = _Similar(now)
        similar.at = now
        similar.messages.add(event.message)
        self._similar[key] = similar
        if len(self._similar) > MAX_REMEMBERED:
            self._similar.popitem(last=False)
        if len(similar.messages) < MAX_SIMILAR:
            return CorrelatedEvent(_name(cluster, *key, event.message), event.message[:MAX_MESSAGE])
        similar.messages.pop()
        return CorrelatedEvent(_name(cluster, *key), f"{AGGREGATED}{event.message}"[:MAX_MESSAGE])


def _name(cluster: str, *parts: str) -> str:
    return f"{cluster}.{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"
