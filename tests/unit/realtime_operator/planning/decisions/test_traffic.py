"""Division of new connections in whole rollouts: exact shares, the way back, and no Service without servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, objects_at, text_at
from realtime_operator.planning.decisions.traffic import observed_percent, observed_weights
from realtime_operator.planning.model.plan import Action, ApplyObject, CreateObject
from realtime_operator.planning.model.world import ObjectKey, World
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform

GATEWAY: JsonObject = {"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["chat.example.com"]}}
ROUTE = ObjectKey("gateway.networking.k8s.io/v1", "HTTPRoute", "main")
PROBED_SECONDS = 20
"""A hold in which new servers are probed again."""
CURRENT, CANARY, ALL = "main-current", "main-canary", "main"


@dataclass
class Watched(MemoryPlatform):
    """A cluster whose route is checked after each write: what it names has servers that are ready."""

    percents: list[int | None] = field(default_factory=list)
    """What the route has given to the revision that is tried, each change once."""
    refuses: bool = False
    """True while new servers refuse every client."""

    def carry_out(self, action: Action) -> None:
        """Carry out one action, and look at the route."""
        super().carry_out(action)
        if isinstance(action, CreateObject | ApplyObject) and ROUTE in self.objects:
            self.check()

    def weights(self) -> Mapping[str, int]:
        """Return the weights in the stored route."""
        return observed_weights("main", World(self.objects, ()))

    def check(self) -> None:
        """Fail when the route names a Service that is missing, or has no server."""
        percent = observed_percent("main", World(self.objects, ()))
        if not self.percents or self.percents[-1] != percent:
            self.percents.append(percent)
        for name in self.weights():
            selector = dig(self.objects[ObjectKey("v1", "Service", name)], "spec", "selector")
            revision = text_at(selector, naming.LABEL_REVISION)
            serving = [pod for pod in self.life.pods if pod.serving and pod.ready(self.life.now)]
            reached = [pod for pod in serving if pod.revision == revision or name == ALL]
            assert reached or not self.life.pods or name == ALL, f"{name} of {revision} has no server: {self.life.pods}"

    def revisions(self) -> dict[str, int]:
        """Return the number of pods by revision, the current one as `old`."""
        current = text_at(self.status or {}, "currentRevision")
        found = {"old": 0, "new": 0}
        for pod in self.life.pods:
            found["old" if pod.revision == current else "new"] += pod.terminating is None
        return found

    def phase(self) -> str:
        """Return the phase of the canary."""
        return text_at(self.status or {}, "canary", "phase")

    def until(self, phase: str, limit: int = 300) -> None:
        """Reconcile until the canary is in a phase."""
        for _ in range(limit):
            if self.phase() == phase:
                return
            self.reconcile()
        raise AssertionError(f"not {phase} after {limit} reconciles: {self.status}")

    def after(self, seconds: int) -> Mapping[str, int]:
        """Reconcile for some seconds, and return the weights."""
        for _ in range(seconds):
            self.reconcile()
        return self.weights()


def rolling(
    *shares: str, replicas: int = 3, on_failure: str = "Rollback", refuses: bool = False, hold: int = 6
) -> Watched:
    """Return a cluster whose servers are to be replaced in steps of these shares; new ones may refuse clients."""
    steps: list[JsonObject] = [{"share": share, "hold": f"{hold}s"} for share in shares]
    canary: JsonObject = {"steps": [*steps], "traffic": "Route", "onFailure": on_failure}
    spec: JsonObject = {"replicas": replicas, "endpoint": GATEWAY, "rollout": {"canary": canary}}
    platform = Watched(spec=spec, refuses=refuses)
    platform.settle()
    platform.life.connect(20 * replicas)
    platform.life.now += 3600
    platform.change(server={"limits": {"messagesPerSecond": 200}})
    live = platform.life.live

    def live_on(tick: float) -> None:
        live(tick)
        for pod in platform.life.pods:
            is_new = pod.revision != text_at(platform.status or {}, "currentRevision")
            pod.probe_code = "100" if platform.refuses and is_new else ""

    platform.life.live = live_on  # type: ignore[method-assign] # new pods get their behaviour
    return platform


@pytest.mark.parametrize(
    ("replicas", "share", "wanted"),
    [
        (1, 10, (1, 1)),
        (2, 50, (1, 1)),
        (3, 10, (3, 1)),
        (4, 26, (3, 2)),
        (3, 100, (1, 3)),
    ],
)
def test_a_step_gives_exactly_its_share(replicas: int, share: int, wanted: tuple[int, int]) -> None:
    """Each revision has the servers for its part: at most one more than wanted, and none is short of servers."""
    platform = rolling(f"{share}%", replicas=replicas)
    platform.until("Holding")
    weights = platform.after(3)
    assert weights == {CURRENT: 100 - share, CANARY: share} if share < 100 else {CANARY: 1}
    found = platform.revisions()
    assert (found["old"], found["new"]) == wanted
    assert dig(platform.status or {}, "canary", "weight") == share


def test_the_condition_tells_what_the_route_gives() -> None:
    """While servers start, in the hold, and in a rollback."""
    platform = rolling("50%", replicas=4, hold=PROBED_SECONDS)
    told: dict[str, str] = {}
    for phase in ("Moving", "Holding", "RolledBack"):
        platform.refuses = phase == "RolledBack"
        platform.until(phase)
        platform.after(3)
        (found,) = (each for each in objects_at(platform.status or {}, "conditions") if each["type"] == "Progressing")
        told[text_at(found, "reason")] = text_at(found, "message")
    tried = text_at(platform.status or {}, "canary", "revision")
    endings = {
        reason: message.rpartition(f"; the route gives revision {tried} ")[2] for reason, message in told.items()
    }
    assert endings == {
        "RollingUpdate": "0% of the new connections",
        "CanaryHolding": "50% of the new connections",
        "RollingBack": "0% of the new connections",
    }


def test_a_whole_rollout_goes_up_in_steps_and_ends_at_the_client_service() -> None:
    """The percentage never falls, and nothing of the division is left in the route."""
    platform = rolling("10%", "50%", replicas=4)
    platform.settle()
    percents = platform.percents
    assert percents[0] is None
    assert percents[-1] is None
    divided = [percent for percent in percents if percent is not None]
    assert divided == sorted(divided)
    assert divided[0] == 0
    assert {10, 50} <= set(divided)
    assert platform.weights() == {ALL: 1}
    assert platform.revisions()["new"] == 0


def test_a_rollback_gives_no_further_connection_to_the_failed_revision() -> None:
    """From the very plan on in which the gate fails, until its servers are gone; then the route is as before."""
    platform = rolling("50%", replicas=4, refuses=True)
    platform.until("RolledBack")
    assert platform.weights() == {CURRENT: 1}
    assert platform.revisions()["new"] > 0
    platform.settle()
    assert platform.weights() == {ALL: 1}
    assert platform.revisions() == {"old": 4, "new": 0}


def test_a_rollback_spares_the_few_servers_that_are_left() -> None:
    """One of four cannot take all new connections: all servers get them until enough are back."""
    platform = rolling("100%", replicas=4, hold=PROBED_SECONDS)
    platform.until("Holding")
    assert platform.after(3) == {CANARY: 1}
    platform.refuses = True
    platform.until("RolledBack")
    assert platform.weights() == {ALL: 1}
    for _ in range(120):
        platform.reconcile()
        if platform.weights() == {CURRENT: 1}:
            break
    assert platform.revisions()["old"] >= 2
    assert platform.revisions()["new"] > 0


def test_a_failure_that_pauses_leaves_the_division_as_it_is() -> None:
    platform = rolling("50%", replicas=4, on_failure="Pause", hold=PROBED_SECONDS)
    platform.until("Holding")
    before = platform.after(3)
    platform.refuses = True
    platform.until("Paused")
    assert platform.after(5) == before == {CURRENT: 50, CANARY: 50}


def canary_of(platform: Watched) -> JsonObject:
    """Return `spec.rollout.canary`."""
    found = dig(platform.spec, "rollout", "canary")
    assert isinstance(found, dict)
    return found


def test_a_pause_changes_nothing() -> None:
    """No weight moves while the cluster is paused, and it goes on afterwards."""
    platform = rolling("10%")
    platform.until("Holding")
    platform.after(3)
    platform.change(paused=True)
    assert platform.after(10) == {CURRENT: 90, CANARY: 10}
    platform.change(paused=False)
    platform.settle()
    assert platform.weights() == {ALL: 1}


def test_another_spec_takes_the_second_service_when_the_route_has_left_it() -> None:
    """The selector of a Service that gets connections never changes."""
    platform = rolling("50%", replicas=4)
    platform.until("Holding")
    platform.after(3)
    first = selected(platform, CANARY)
    platform.change(server={"limits": {"messagesPerSecond": 300}})
    platform.reconcile()
    assert (platform.weights(), selected(platform, CANARY)) == ({CURRENT: 1}, first)
    platform.reconcile()
    assert selected(platform, CANARY) == text_at(platform.status or {}, "targetRevision") != first
    platform.settle()
    assert platform.weights() == {ALL: 1}


def test_a_drained_server_of_the_tried_revision_leaves_the_route_first() -> None:
    """It is the only one: the current revision gets all connections until it is replaced."""
    platform = rolling("10%")
    platform.until("Holding")
    platform.after(3)
    tried = next(p for p in platform.life.pods if p.revision != text_at(platform.status or {}, "currentRevision"))
    tried.drain_requested = True
    while tried.serving:
        platform.reconcile()
    assert platform.weights() == {CURRENT: 1}
    platform.settle()
    assert platform.weights() == {ALL: 1}


def test_a_step_waits_for_its_weight() -> None:
    """A Service of that name belongs to somebody else: without connections the revision must not pass."""
    platform = rolling("10%")
    platform.objects.pop(ObjectKey("v1", "Service", CANARY))
    platform.taken = {ObjectKey("v1", "Service", CANARY)}
    assert platform.after(20) == {CURRENT: 1}
    assert platform.revisions() == {"old": 3, "new": 1}
    assert platform.phase() == "Moving"
    platform.taken = set()
    platform.until("Holding")
    assert platform.weights() == {CURRENT: 90, CANARY: 10}


def test_a_server_gets_connections_when_gateways_know_it() -> None:
    """The time is that in which a quiesced server still gets some."""
    platform = rolling("10%")
    while platform.revisions()["new"] == 0:
        platform.reconcile()
    new = next(p for p in platform.life.pods if p.revision != text_at(platform.status or {}, "currentRevision"))
    while not new.ready(platform.life.now):
        platform.reconcile()
    assert platform.after(5) == {CURRENT: 1}
    assert platform.after(2) == {CURRENT: 90, CANARY: 10}


def test_the_services_go_when_they_are_not_wanted() -> None:
    """At once in a settled cluster, as no route names them; in a rollout when it has ended."""
    platform = rolling("10%")
    platform.until("Holding")
    platform.after(3)
    platform.change(rollout={"canary": {**canary_of(platform), "traffic": "Service"}})
    platform.reconcile()
    assert platform.weights() == {ALL: 1}
    assert ObjectKey("v1", "Service", CANARY) in platform.objects
    platform.settle()
    assert not {ObjectKey("v1", "Service", name) for name in (CURRENT, CANARY)} & set(platform.objects)


def test_undo_gives_no_further_connection_to_the_new_servers() -> None:
    """The spec that serves is applied again in the middle of a step."""
    platform = rolling("50%", replicas=4)
    platform.until("Holding")
    platform.after(3)
    platform.change(server={})
    platform.reconcile()
    assert platform.weights() == {CURRENT: 1}
    platform.settle()
    assert platform.weights() == {ALL: 1}


def test_nothing_is_divided_where_routes_are_not_served() -> None:
    """Shares are of servers then, as without a route."""
    platform = rolling("10%")
    platform.unserved = frozenset({(ROUTE.api_version, ROUTE.kind)})
    platform.objects.pop(ROUTE)
    platform.until("Holding")
    assert platform.revisions() == {"old": 2, "new": 1}
    assert ROUTE not in platform.objects


def selected(platform: Watched, service: str) -> str:
    """Return the revision that a Service selects."""
    return text_at(platform.objects[ObjectKey("v1", "Service", service)], "spec", "selector", naming.LABEL_REVISION)


def test_a_weight_that_is_not_written_counts_as_one() -> None:
    """As in the Gateway API."""
    platform = rolling("10%")
    assert [text_at(ref, "name") for ref in objects_at(platform.objects[ROUTE], "spec", "rules")] == [""]
    assert platform.weights() == {ALL: 1}
    assert observed_percent("main", platform.world()) is None
