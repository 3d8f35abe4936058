"""Metrics of single clusters, which follow from their status. Only the leading process has any."""

from __future__ import annotations

import math
import time
from collections import Counter

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.metrics import Metrics
from realtime_operator.planning.model.world import World
from realtime_operator.planning.scheduling.slots import USED, SlotState
from realtime_operator.planning.status.subresource import connections
from realtime_operator.platforms.base import Key

WAITING_REASONS = {"slot": SlotState.WAITING_FOR_SLOT, "window": SlotState.WAITING_FOR_WINDOW}
"""States of slots by the label of the metric of rollouts that wait."""


class ClusterMetrics:
    """Owner of the series that have a cluster's name, and of the number of clusters by phase."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._phases: dict[Key, str] = {}
        self._slots: dict[Key, str] = {}
        self._conditions: dict[Key, set[tuple[str, str, str]]] = {}
        self._known: set[Key] = set()

    def attempt(self, key: Key) -> None:
        """Note that a cluster is about to be reconciled: one that never succeeds counts from its first attempt."""
        if key not in self._known:
            self.succeed(key)

    def succeed(self, key: Key) -> None:
        """Note that a cluster has been reconciled."""
        self._known.add(key)
        self._metrics.last_reconcile.labels(*_labels(key)).set(time.time())

    def observe(self, key: Key, world: World) -> None:
        """Note the servers of a cluster."""
        known = connections(world.servers)
        self._metrics.connections.labels(*_labels(key)).set(math.nan if known is None else known)
        draining = sum(not server.serving for server in world.servers)
        self._metrics.draining_servers.labels(*_labels(key)).set(draining)

    def report(self, key: Key, status: JsonObject) -> None:
        """Note the status of a cluster: phase, conditions, and the moves of its rollout."""
        self.set_phase(key, str(status.get("phase") or "Pending"))
        self._set_slot(key, text_at(status, "rolloutSlot", "state"))
        conditions = {
            (text_at(entry, "type"), text_at(entry, "status"), text_at(entry, "reason"))
            for entry in objects_at(status, "conditions")
        }
        self._set_conditions(key, conditions)
        moving = "rollout" in status
        to_move = object_at(status, "rollout").get("connectionsToMove") if moving else 0
        budget = object_at(status, "budget").get("connectionsPerSecond") if moving else 0
        self._metrics.connections_to_move.labels(*_labels(key)).set(_number(to_move))
        self._metrics.budget.labels(*_labels(key)).set(_number(budget))
        self._metrics.owed.labels(*_labels(key)).set(_number(object_at(status, "budget").get("owed")))

    def forget(self, key: Key) -> None:
        """Remove the series of a cluster that is gone."""
        self.set_phase(key, None)
        self._set_slot(key, "")
        self._set_conditions(key, set())
        if key in self._known:
            self._known.discard(key)
            for gauge in self._metrics.of_clusters:
                gauge.remove(*_labels(key))

    def set_phase(self, key: Key, phase: str | None) -> None:
        """Set the phase of a cluster; None when it is gone."""
        before = self._phases.pop(key, None)
        if phase is not None:
            self._phases[key] = phase
        counts = Counter(self._phases.values())
        for name in {before, phase} - {None}:
            self._metrics.clusters.labels(name).set(counts[str(name)])

    def _set_slot(self, key: Key, state: str) -> None:
        """Set the state of the slot of a cluster's rollout; empty when it has none."""
        self._slots.pop(key, None)
        if state:
            self._slots[key] = state
        counts = Counter(self._slots.values())
        self._metrics.rollout_slots_used.set(sum(counts[state] for state in USED))
        for reason, waiting in WAITING_REASONS.items():
            self._metrics.rollouts_waiting.labels(reason).set(counts[waiting])

    def _set_conditions(self, key: Key, conditions: set[tuple[str, str, str]]) -> None:
        before = self._conditions.pop(key, set())
        if conditions:
            self._conditions[key] = conditions
        for gone in before - conditions:
            self._metrics.conditions.remove(*_labels(key), *gone)
        for present in conditions:
            self._metrics.conditions.labels(*_labels(key), *present).set(1)


def _labels(key: Key) -> tuple[str, str]:
    return key.namespace, key.name


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
