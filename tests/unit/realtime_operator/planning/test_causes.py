"""Tests of the reference's table of causes and conditions: each cause is produced, each cell compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.planning.model.world import ObjectKey, Recent, RedisPod, StoreReport
from tests.unit.realtime_operator.planning.decisions.test_canary import canary_rollout, replaced, until
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform, dig
from tests.unit.realtime_operator.planning.simulation import START
from tests.unit.realtime_operator.planning.test_reconcile import SMALL, conditions, settled

CREDENTIALS = ObjectKey("v1", "Secret", naming.credentials_secret("main"))
REDIS = ObjectKey("v1", "Secret", naming.redis("main"))
HTTP_ROUTE = ("gateway.networking.k8s.io/v1", "HTTPRoute")
REFERENCE = Path(__file__).parents[4] / "docs" / "reference" / "conditions-and-events.md"
HEALTHY = {
    "Accepted": "True `Valid`",
    "Ready": "True `ServersAvailable`",
    "Progressing": "False `Settled`",
    "Degraded": "False `AsExpected`",
    "BackplaneReady": "True `Connected`",
    "EndpointReady": "True `EndpointAvailable`",
    "CredentialsKept": "True `Unchanged`",
}


def cells(line: str) -> list[str]:
    """Return the cells of a row."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def documented() -> dict[str, dict[str, str]]:
    """Return the conditions of each cause, with those of a healthy cluster where the reference gives none."""
    table = REFERENCE.read_text().partition("<!-- causes -->")[2].partition("\n\n")[0].strip().splitlines()
    header, _, *lines = table
    rows = [cells(line) for line in lines]
    named = [dict(zip(cells(header)[1:], row[1:], strict=True)) for row in rows]
    stated = [{kind: text for kind, text in row.items() if text} for row in named]
    return {row[0]: {**HEALTHY, **cell} for row, cell in zip(rows, stated, strict=True)}


def reconcile_repeatedly(platform: MemoryPlatform, count: int = 5) -> None:
    """Reconcile `count` times."""
    for _ in range(count):
        platform.reconcile()


def gate_failed(on_failure: str, more: int = 0) -> MemoryPlatform:
    """Return a cluster whose new servers refuse a probe, `more` reconciles after the gate has failed."""
    platform = replaced(canary_rollout(on_failure))
    until(platform, lambda status: text_at(status, "canary", "phase") in {"Paused", "RolledBack"})
    reconcile_repeatedly(platform, more)
    return platform


def later(platform: MemoryPlatform, seconds: float) -> None:
    """Reconcile after `seconds`, and one more, which reports what the first one noted."""
    platform.reconcile()
    platform.life.now += seconds
    platform.reconcile()


def filled(percent: int) -> MemoryPlatform:
    """Return servers that report a Redis of 100 MiB, of which a part is used."""
    platform = settled()
    platform.life.pods[0].store = StoreReport(percent << 20, 100 << 20)
    reconcile_repeatedly(platform)
    return platform


def rolling() -> MemoryPlatform:
    """Return two servers with a hundred connections in a rollout whose first new server is there."""
    platform = settled()
    platform.life.connect(100)
    platform.life.now += 60
    platform.change(server={"limits": {"connections": 5000}})
    reconcile_repeatedly(platform, 6)
    return platform


def quota_of_a_new_cluster() -> MemoryPlatform:
    """A quota lets a new cluster create no pod."""
    platform = MemoryPlatform(SMALL)
    platform.life.refuses_pods = True
    reconcile_repeatedly(platform)
    return platform


def quota_in_a_rollout() -> MemoryPlatform:
    """A quota stops a rollout; the old servers stay."""
    platform = settled()
    platform.life.refuses_pods = True
    platform.change(server={"limits": {"connections": 5000}})
    reconcile_repeatedly(platform)
    return platform


def refused_config_map() -> MemoryPlatform:
    """An admission webhook refuses the ConfigMap."""
    platform = settled()
    platform.change(server={"limits": {"connections": 5000}})
    revision = next(a for a in platform.decide().actions if getattr(a, "manifest", {}).get("kind") == "ConfigMap")
    name = str(revision.manifest["metadata"]["name"])  # type: ignore[union-attr,index,call-overload] # a CreateObject
    platform.refused[ObjectKey("v1", "ConfigMap", name)] = "admission webhook denied the request"
    reconcile_repeatedly(platform)
    return platform


def foreign_service() -> MemoryPlatform:
    """An application has a Service `main` already."""
    platform = MemoryPlatform(SMALL, taken={ObjectKey("v1", "Service", "main")})
    reconcile_repeatedly(platform, 20)
    return platform


def broken_image() -> MemoryPlatform:
    """The first new server cannot pull its image."""
    platform = settled()
    platform.change(image={"repository": "localhost/none", "tag": "1"})
    reconcile_repeatedly(platform, 2)
    for pod in platform.life.pods:
        pod.broken = platform.status is not None and pod.revision == platform.status["targetRevision"]
    reconcile_repeatedly(platform)
    return platform


def redis_pod(**changes: object) -> RedisPod:
    """Return the pod of the managed Redis."""
    return replace(RedisPod("main-redis-0", "uid-redis", "main-redis-1", START, ready=True), **changes)  # type: ignore[arg-type] # names fields


def broken_redis_image() -> MemoryPlatform:
    """The image of Redis cannot be pulled, and servers never become ready."""
    platform = MemoryPlatform(SMALL, redis_ready=False)
    platform.redis = [redis_pod(ready=False, waiting_reason="ImagePullBackOff", waiting_message='image "x"')]
    for _ in range(6):
        platform.reconcile()
        for pod in platform.life.pods:
            pod.linked = False
    return platform


def broken_redis_change() -> MemoryPlatform:
    """The trial of a changed Redis does not start."""
    platform = settled()
    platform.redis = [redis_pod()]
    platform.change(backplane={"redis": {"managed": {"image": "localhost/none:1"}}})
    reconcile_repeatedly(platform, 2)
    trial = next(pod for pod in platform.redis if pod.trial)
    platform.redis.remove(trial)
    platform.redis.append(replace(trial, waiting_reason="ErrImagePull", waiting_message='image "localhost/none:1"'))
    reconcile_repeatedly(platform)
    return platform


def podless_redis() -> MemoryPlatform:
    """The pod of Redis was deleted and cannot be created again; reports of servers are still missing."""
    platform = settled()
    platform.redis_ready = False
    reconcile_repeatedly(platform, 2)
    later(platform, 61)
    return platform


def cut_off(platform: MemoryPlatform) -> MemoryPlatform:
    """Redis is away."""
    for pod in platform.life.pods:
        pod.linked, pod.unready = False, platform.life.now
    platform.reconcile()
    return platform


def refused_clients() -> MemoryPlatform:
    """The backend of the connect hook is down."""
    platform = settled()
    for pod in platform.life.pods:
        pod.recent = Recent(30, 0, 30, 0, {"100": 30})
    platform.reconcile()
    return platform


def no_room() -> MemoryPlatform:
    """Two servers have a hundred connections, and shall accept 40 each."""
    platform = settled()
    platform.life.connect(100)
    platform.life.now += 60
    platform.change(server={"limits": {"connections": 40}})
    reconcile_repeatedly(platform, 8)
    return platform


def refused_moves() -> MemoryPlatform:
    """The backend of the new revision's connect hook is down."""
    platform = rolling()
    for pod in platform.life.pods:
        target = platform.status is not None and pod.revision == platform.status["targetRevision"]
        pod.recent = Recent(30, 6, 40, 0, {"100": 40}) if target else Recent(30, 0, 0, 30)
    platform.reconcile()
    return platform


def silent(seconds: float) -> MemoryPlatform:
    """A server does not answer on its admin port for `seconds`."""
    platform = settled()
    platform.life.pods[0].silent = True
    later(platform, seconds)
    return platform


def unready(seconds: float) -> MemoryPlatform:
    """The probe of a running server fails for `seconds`."""
    platform = settled()
    platform.life.pods[0].unready = platform.life.now
    later(platform, seconds)
    return platform


def without(secret: ObjectKey, platform: MemoryPlatform) -> MemoryPlatform:
    """A generated Secret was deleted."""
    platform.delete(secret)
    reconcile_repeatedly(platform)
    return platform


def refused_credentials() -> MemoryPlatform:
    """A quota lets no Secret be created."""
    platform = settled()
    platform.refused[CREDENTIALS] = "exceeded quota: small"
    return without(CREDENTIALS, platform)


def changed(**spec: object) -> MemoryPlatform:
    """Return a settled cluster whose spec was changed."""
    platform = settled()
    platform.change(**spec)  # type: ignore[arg-type] # fields of the spec
    platform.settle()
    return platform


def paused_operator() -> MemoryPlatform:
    """People on call have paused the operator."""
    platform = settled()
    platform.paused = "the operator is paused"
    platform.reconcile()
    return platform


def missing_crd() -> MemoryPlatform:
    """The spec asks for a route, and the Gateway API is not installed."""
    platform = settled()
    platform.unserved = frozenset({HTTP_ROUTE})
    platform.change(endpoint={"gateway": {"parentRefs": [{"name": "public"}]}})
    reconcile_repeatedly(platform)
    return platform


def answered(condition: str, reason: str) -> MemoryPlatform:
    """Return a cluster with a route, whose Gateway answers by a condition that is False; none when it is empty."""
    platform = settled()
    platform.change(endpoint={"gateway": {"parentRefs": [{"name": "public"}]}})
    reconcile_repeatedly(platform)
    stated: JsonObject = {"type": condition, "status": "False", "reason": reason, "message": ""}
    accepted: JsonObject = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
    answer: JsonObject = {"parentRef": {"name": "public"}, "conditions": [accepted, stated]}
    platform.objects[ObjectKey(*HTTP_ROUTE, "main")]["status"] = {"parents": [answer] if condition else []}
    reconcile_repeatedly(platform)
    return platform


CAUSES: dict[str, Callable[[], MemoryPlatform]] = {
    "a quota refuses every pod of a new cluster": quota_of_a_new_cluster,
    "a quota refuses the new servers of a rollout": quota_in_a_rollout,
    "the ConfigMap of a new revision is refused": refused_config_map,
    "the client Service is somebody else's": foreign_service,
    "the image of the servers cannot be pulled": broken_image,
    "the image of the managed Redis cannot be pulled, in a new cluster": broken_redis_image,
    "a changed image of the managed Redis cannot be pulled": broken_redis_change,
    "the StatefulSet of Redis makes no pod for 61 s": podless_redis,
    "no server reaches Redis": lambda: cut_off(settled()),
    "no server reaches Redis, during a rollout": lambda: cut_off(rolling()),
    "Redis uses 89% of its memory": lambda: filled(89),
    "Redis uses 91% of its memory": lambda: filled(91),
    "all clients are refused": refused_clients,
    "those that are moved are refused": refused_moves,
    "a gate of a canary fails, with `onFailure: Pause`": lambda: gate_failed("Pause"),
    "a gate of a canary fails, and the servers are being rolled back": lambda: gate_failed("Rollback", more=2),
    "a gate of a canary has failed, and all is rolled back": lambda: gate_failed("Rollback", more=60),
    "a rollout whose servers have no room for the connections": no_room,
    "a server is silent on its admin port for 10 s": lambda: silent(10),
    "a server is silent on its admin port for 61 s": lambda: silent(61),
    "a server is not ready for 10 s": lambda: unready(10),
    "a server is not ready for 61 s": lambda: unready(61),
    "nothing gets on for 11 minutes": lambda: unready(660),
    "the Secret with the credentials was deleted, and is new": lambda: without(CREDENTIALS, settled()),
    "the same while `spec.paused`": lambda: without(CREDENTIALS, changed(paused=True)),
    "the same while the operator is paused": lambda: without(CREDENTIALS, paused_operator()),
    "the same, and the API server refuses the new Secret": refused_credentials,
    "the Secret of the managed Redis was deleted while `spec.paused`": lambda: without(REDIS, changed(paused=True)),
    "`spec.paused`": lambda: changed(paused=True),
    "the operator is paused": paused_operator,
    "`replicas` is 0": lambda: changed(replicas=0),
    "the spec asks for a route without the Gateway API": missing_crd,
    "the Gateway does not accept the route": lambda: answered("Accepted", "NotAllowedByListeners"),
    "the Gateway finds no Service for the route": lambda: answered("ResolvedRefs", "BackendNotFound"),
    "no controller has answered to the route": lambda: answered("", ""),
    "no controller has given the Ingress an address": lambda: changed(endpoint={"ingress": {}}),
}


def test_every_documented_cause_is_made() -> None:
    """No other cause is produced."""
    assert list(CAUSES) == list(documented())


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_has_the_conditions_that_the_reference_says(cause: str) -> None:
    """Conditions that equal those of a healthy cluster are compared too."""
    found = {kind: f"{status} `{reason}`" for kind, (status, reason) in conditions(CAUSES[cause]()).items()}
    assert found == documented()[cause]


def test_what_is_unknown_is_no_number() -> None:
    """The total is absent; the server has the time since when it is silent, and its last number."""
    platform = settled()
    platform.life.connect(100)
    platform.reconcile()
    platform.life.pods[0].silent = True
    later(platform, 61)
    assert platform.status is not None
    assert "connections" not in platform.status
    servers = platform.status["servers"]
    assert isinstance(servers, list)
    (entry,) = (server for server in servers if isinstance(server, dict) and "unreachableSince" in server)
    assert entry["lastConnections"] == 50
    assert "connections" not in entry


def test_nothing_flaps_for_a_server_that_misses_one_call() -> None:
    """No Event is emitted, and no condition changes."""
    platform = settled()
    for _ in range(5):
        platform.life.pods[0].silent = not platform.life.pods[0].silent
        platform.reconcile()
    assert platform.events == []
    assert re.match("True", conditions(platform)["Ready"][0])


def status_of(platform: MemoryPlatform, kind: str) -> JsonObject:
    """Return a condition as it is in the status."""
    found = objects_at(platform.status or {}, "conditions")
    return next(condition for condition in found if condition["type"] == kind)


def test_a_missing_crd_holds_nothing_else_up() -> None:
    """The message names field and CRD; the Service is changed; the route is made once the CRD is there, and removed."""
    platform = missing_crd()
    route = ObjectKey(*HTTP_ROUTE, "main")
    message = text_at(status_of(platform, "Degraded"), "message")
    assert "spec.endpoint.gateway needs a HTTPRoute" in message
    assert "install the CRD httproutes.gateway.networking.k8s.io" in message
    platform.withheld = {HTTP_ROUTE: "list and watch in all namespaces"}
    reconcile_repeatedly(platform)
    message = text_at(status_of(platform, "Degraded"), "message")
    assert "which the operator has no right to list and watch in all namespaces" in message
    platform.change(endpoint={"gateway": {"parentRefs": [{"name": "public"}]}, "service": {"type": "NodePort"}})
    reconcile_repeatedly(platform)
    assert dig(platform.objects[ObjectKey("v1", "Service", "main")], "spec", "type") == "NodePort"
    assert route not in platform.objects
    platform.unserved = frozenset()
    reconcile_repeatedly(platform)
    assert route in platform.objects
    assert text_at(status_of(platform, "Degraded"), "status") == "False"
    platform.change(endpoint={})
    reconcile_repeatedly(platform)
    assert route not in platform.objects
