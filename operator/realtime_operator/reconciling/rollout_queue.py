"""The clusters that use or ask for slots of rollouts, as one operator sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from realtime_operator.planning.scheduling.slots import OtherClusters, Request, SlotState, Turn, holds_slot
from realtime_operator.platforms.base import Key

Clusters = Callable[[], Iterable[tuple[JsonObject, Sequence[JsonObject]]]]
"""Returns all stored clusters with their children."""


class RolloutQueue:
    """Requests and grants of slots between the reconciles of different clusters, which run concurrently.

    What holds a slot is read from the stored clusters at each call. In memory are only the grants that are not stored
    yet, so that no two decisions take the same slot, and the requests, which each reconcile of a cluster makes anew.
    Between `others` and `note` nothing may be awaited.
    """

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self._granted: set[Key] = set()
        self._requests: dict[Key, Request] = {}
        self._reconciled: set[Key] = set()

    def others(self, key: Key) -> OtherClusters:
        """Return the holders of slots and the requests of all clusters but this one."""
        holders: list[str] = []
        complete = True
        for document, children in self._clusters():
            other = Key(text_at(document, "metadata", "namespace"), text_at(document, "metadata", "name"))
            if other == key:
                continue
            complete = complete and other in self._reconciled
            if other in self._granted or holds_slot(document, children):
                holders.append(f"{other.namespace}/{other.name}")
        requests = (request for other, request in self._requests.items() if other != key)
        return OtherClusters(tuple(holders), tuple(requests), complete)

    def note(self, key: Key, turn: Turn) -> None:
        """Note the decision about a cluster, before its actions are carried out."""
        state = None if turn.slot is None else turn.slot.state
        self._requests.pop(key, None)
        self._granted.discard(key)
        if state is SlotState.GRANTED:
            self._granted.add(key)
        elif turn.request is not None:
            self._requests[key] = turn.request

    def stored(self, key: Key) -> None:
        """Note that the status with the last decision is stored, or was refused: what is stored counts from now on."""
        self._granted.discard(key)

    def reconciled(self, key: Key, *, failed: bool) -> None:
        """Note the end of a reconcile.

        A cluster that cannot be reconciled keeps nobody waiting; its grant stays, as it may have been stored.
        """
        self._reconciled.add(key)
        if failed:
            self._requests.pop(key, None)

    def forget(self, key: Key) -> None:
        """Forget a cluster that is gone."""
        self._reconciled.discard(key)
        self._granted.discard(key)
        self._requests.pop(key, None)
