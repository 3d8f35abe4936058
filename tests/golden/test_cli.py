"""Golden tests of the commands' views of a cluster: `cli/NAME.txt`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Group, RenderableType

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings
from realtime_operator.cli import views
from realtime_operator.cli.commands import doctor, plan, probe
from realtime_operator.cli.commands.top import Sample, ServerHistory, top_table
from realtime_operator.cli.output import plain
from realtime_operator.cli.reference import build_reference
from realtime_operator.cli.target import ClientEndpoint, Event, Finding, Severity
from realtime_operator.planning.decisions.operator_rollout import Upcoming
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.forecast import Forecast, forecast
from realtime_operator.planning.model.world import Server, ServerReport, ServerState
from realtime_operator.planning.scheduling.maintenance import Opening
from tests.kit.golden import check_golden

FOLDER = Path(__file__).parent / "cli"
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WHERE = "Kubernetes (context production, namespace team)"
SETTINGS = PlannerSettings(BuildSettings(server_image="server:1", redis_image="redis:1"))


def condition(kind: str, status: str, reason: str, message: str) -> JsonObject:
    """Return a condition of a status."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


def server_entry(name: str, revision: str, state: str, connections: int | None, *, ready: bool = True) -> JsonObject:
    """Return a server of a status."""
    entry: JsonObject = {"name": name, "revision": revision, "state": state, "ready": ready}
    return entry if connections is None else {**entry, "connections": connections}


def stored(**status: object) -> JsonObject:
    """Return a cluster with a status."""
    metadata: JsonObject = {
        "name": "chat", "namespace": "team", "generation": 3, "creationTimestamp": "2026-11-22T10:00:00Z",
    }  # fmt: skip
    common: JsonObject = {
        "phase": "Ready",
        "message": "enough servers are available",
        "ready": "2/2",
        "madeWith": {"serverImage": "server:0.2.0"},
        "observedGeneration": 3,
        "replicas": 2,
        "readyReplicas": 2,
        "connections": 300,
        "currentRevision": "bcdfghjkmn",
        "targetRevision": "bcdfghjkmn",
        "endpoints": {
            "client": "ws://chat.team.svc:8000/connection/websocket",
            "api": "http://chat-api.team.svc:8001/api",
        },
        "conditions": [
            condition("Accepted", "True", "Valid", "the spec is valid"),
            condition("Ready", "True", "ServersAvailable", "enough servers are available"),
        ],
        "servers": [
            server_entry("chat-bcdfghjkmn-aaaaa", "bcdfghjkmn", "Serving", 200),
            server_entry("chat-bcdfghjkmn-bbbbb", "bcdfghjkmn", "Serving", 100),
        ],
    }
    changed: JsonObject = {**common, **status}  # type: ignore[dict-item] # the tests pass JSON
    spec: JsonObject = {"autoscaling": {"minReplicas": 2, "maxReplicas": 8}}
    return {"metadata": metadata, "spec": spec, "status": changed}


READY = stored()
WAITING = stored(
    defaults={"operatorVersion": "0.3.0", "serverImage": "server:0.3.0"},
    newerDefaults=["Servers"],
    rolloutSlot={"state": "WaitingForWindow", "revision": "tvwbcdfghj", "since": "2026-11-23T11:00:00Z"},
    maintenance={"state": "Closed", "nextWindow": "2026-11-26T16:00:00Z"},
    conditions=[
        condition(
            "Progressing", "False", "WaitingForWindow",
            "newer defaults of the operator wait for the window Thu 17:00 Europe/Berlin (2026-11-26T16:00:00Z)",
        )
    ],
)  # fmt: skip
ROLLING = stored(
    phase="Progressing",
    message="1 of 2 servers run revision tvwbcdfghj, 2 servers of other revisions remain",
    replicas=3,
    targetRevision="tvwbcdfghj",
    rollout={
        "startedAt": "2026-11-23T11:59:00Z", "updatedServers": 1, "oldServers": 2, "connectionsToMove": 150,
        "drainingServers": ["chat-bcdfghjkmn-aaaaa"],
    },
    budget={"connectionsPerSecond": 50.0},
    autoscaling={"desiredReplicas": 2, "bounds": "2-8"},
    servers=[
        server_entry("chat-bcdfghjkmn-aaaaa", "bcdfghjkmn", "Draining", 50, ready=False),
        server_entry("chat-bcdfghjkmn-bbbbb", "bcdfghjkmn", "Serving", 100),
        server_entry("chat-tvwbcdfghj-ccccc", "tvwbcdfghj", "Serving", 150),
    ],
)  # fmt: skip
UPGRADED = stored(
    madeWith={"operatorVersion": "0.1.0", "serverImage": "server:0.1.0", "redisImage": "redis:7"},
    defaults={"operatorVersion": "0.2.0", "serverImage": "server:0.2.0", "redisImage": "redis:7"},
    newerDefaults=["Servers", "Redis"],
)
HELD = stored(
    phase="Degraded",
    rollout={"updatedServers": 1, "oldServers": 2, "connectionsToMove": 280, "drainingServers": []},
    hold={
        "reason": "MovedNotArriving", "until": "2026-11-23T12:00:40Z", "count": 1,
        "message": "of 20 connections moved in the last 30 s, 3 arrived, and 40 connects failed",
    },
    conditions=[condition("Progressing", "False", "MovesHeld", "no connections are moved: clients are refused")],
)  # fmt: skip
SILENT = stored(
    connections=None,
    servers=[
        server_entry("chat-bcdfghjkmn-aaaaa", "bcdfghjkmn", "Serving", 200),
        {
            **server_entry("chat-bcdfghjkmn-bbbbb", "bcdfghjkmn", "Unknown", None),
            "unreachableSince": "2026-11-23T11:59:15Z", "lastConnections": 100,
        },
    ],
)  # fmt: skip
STEPS: JsonObject = {"rollout": {"canary": {"steps": [{"share": "25%", "hold": "2m"}, {"share": "75%", "hold": "5m"}]}}}
BY_ROUTE: JsonObject = {
    "rollout": {"canary": {"steps": [{"share": "5%", "hold": "2m"}], "traffic": "Route"}},
    "endpoint": {"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["chat.example.com"]}},
}  # fmt: skip
HOLDING: JsonObject = {**stored(
    phase="Progressing",
    targetRevision="tvwbcdfghj",
    canary={
        "revision": "tvwbcdfghj", "step": 1, "phase": "Holding", "since": "2026-11-23T11:59:05Z",
        "gates": [
            {"name": "Readiness", "outcome": "Passed", "message": "1 of 1 new servers are ready"},
            {"name": "Connects", "outcome": "Passed", "message": "3 connects, fewer than 20; a probe has connected"},
            {"name": "Errors", "outcome": "Undecided", "message": "0 of 9 commands failed; judged from 20 on"},
        ],
    },
), "spec": STEPS}  # fmt: skip
HOLDING_WEIGHT: JsonObject = {
    **object_at(HOLDING, "status"), "canary": {**object_at(HOLDING, "status", "canary"), "weight": 25},
}  # fmt: skip
HOLDING_PAUSED: JsonObject = {**object_at(HOLDING, "status"), "phase": "Paused"}
ROLLED_BACK: JsonObject = {**stored(
    phase="Degraded",
    canary={
        "revision": "tvwbcdfghj", "step": 1, "phase": "RolledBack", "since": "2026-11-23T11:59:05Z",
        "failedGate": "Connects", "message": "a probe was refused with 100",
        "gates": [{"name": "Connects", "outcome": "Failed", "message": "a probe was refused with 100"}],
    },
), "spec": STEPS}  # fmt: skip
NEW: JsonObject = {"metadata": {"name": "chat", "creationTimestamp": "2026-11-23T11:59:59Z"}, "spec": {}}
EVENTS = (
    Event("2026-11-23T11:00:00Z", "Normal", "RolloutStarted", "rolling out revision tvwbcdfghj: 2 servers"),
    Event("2026-11-23T11:59:30Z", "Warning", "Disconnected", "server chat-bcdfghjkmn-aaaaa cannot reach Redis"),
)


def cluster(**spec: object) -> RealtimeCluster:
    """Return a cluster with a spec."""
    return RealtimeCluster.from_object({"metadata": {"name": "chat"}, "spec": spec})  # type: ignore[dict-item] # JSON


def servers(*connections: int) -> list[Server]:
    """Return servers of `cluster()`'s revision with these numbers of connections and a measured accept cost."""
    revision = forecast(None, cluster(), (), SETTINGS).revision
    return [
        Server(
            f"chat-{number}", "", revision, NOW, ready=True,
            report=ServerReport(ServerState.SERVING, count, accept_cost_seconds=0.0025),
        )
        for number, count in enumerate(connections)
    ]  # fmt: skip


def expected(spec: dict[str, object], *connections: int) -> Forecast:
    """Return the forecast of changing a cluster with defaults to this one."""
    running = servers(*connections)
    document: JsonObject = {"metadata": {"name": "chat"}, "status": {"currentRevision": running[0].revision}}
    return forecast(RealtimeCluster.from_object(document), cluster(**spec), running, SETTINGS)


def sample(at: float, sent: float, cpu: float) -> Sample:
    """Return metrics of a server."""
    return Sample(at, 120, sent / 10, sent, 2048, cpu, 64 * 1024 * 1024, sent / 1000, sent)


def history() -> ServerHistory:
    """Return a server with four samples."""
    made = ServerHistory(sample(0, 0, 0))
    for second, sent in enumerate((1000, 3000, 3500), 1):
        made.add(sample(second, sent, second * 0.25))
    return made


def listener(name: str, *milliseconds: float, refusal: str = "") -> probe.Listener:
    """Return a subscriber of a probe with the latencies of its messages."""
    seconds = {number: value / 1000 for number, value in enumerate(milliseconds)}
    return probe.Listener(name, ClientEndpoint("ws://x"), seconds, refusal)


FINDINGS = (
    Finding("CRD", Severity.OK, "realtime.dev/v1alpha1, the same as this program's"),
    Finding("clock", Severity.WARNING, "differs from the API server's by 60 s", "set the clock (NTP)"),
    Finding("servers", Severity.ERROR, "do not answer: chat-bcdfghjkmn-aaaaa", "`realtime logs SERVER` says why"),
)

VIEWS: dict[str, RenderableType] = {
    "get": views.cluster_table([READY, ROLLING, SILENT, NEW], wide=False, now=NOW),
    "get-wide": views.cluster_table([READY, ROLLING, NEW], wide=True, now=NOW),
    "status-ready": views.status_view(READY, WHERE),
    "status-rolling": views.status_view(ROLLING, WHERE),
    "status-upgraded": views.status_view(UPGRADED, WHERE),
    "status-waiting": views.status_view(WAITING, WHERE, NOW),
    "plan-upcoming": plan.upcoming_line(
        Upcoming("tvwbcdfghj", Opening(NOW + timedelta(hours=76), "Europe/Berlin")), NOW
    ),
    "plan-upcoming-open": plan.upcoming_line(Upcoming("tvwbcdfghj", None), NOW),
    "status-held": views.status_view(HELD, WHERE),
    "status-silent": views.status_view(SILENT, WHERE, NOW),
    "status-canary-paused": views.status_view(HOLDING | {"status": HOLDING_PAUSED}, WHERE, NOW),
    "status-canary-weight": views.status_view(HOLDING | {"status": HOLDING_WEIGHT}, WHERE, NOW),
    "status-canary": views.status_view(HOLDING, WHERE, NOW),
    "status-rolled-back": views.status_view(ROLLED_BACK, WHERE, NOW),
    "status-new": views.status_view(NEW, WHERE),
    "describe": views.describe_view(ROLLING, EVENTS, WHERE, NOW),
    "describe-without-events": views.describe_view(READY, (), WHERE, NOW),
    "plan-created": plan.forecast_view("chat", forecast(None, cluster(), (), SETTINGS), created=True),
    "plan-rolled-back": plan.forecast_view(
        "chat", replace(expected({}, 10, 10), rolled_back="tvwbcdfghj"), created=False
    ),
    "up-changes": Group(*views.change_lines(expected({"server": {"workers": 2}, **STEPS}, 400))),
    "plan-nothing": plan.forecast_view("chat", expected({}, 10, 10), created=False),
    "plan-rollout": plan.forecast_view(
        "chat",
        expected({"server": {"workers": 2}, "namespaces": [{"name": "news", "presence": True}]}, 400, 600),
        created=False,
    ),
    "plan-canary": plan.forecast_view("chat", expected({"server": {"workers": 2}, **STEPS}, 400, 600), created=False),
    "plan-canary-route": plan.forecast_view(
        "chat", expected({"server": {"workers": 2}, **BY_ROUTE}, 400, 600), created=False
    ),
    "plan-rejected": plan.forecast_view(
        "chat", expected({"server": {"limits": {"connections": 400}}}, 400, 600), created=False
    ),
    "plan-scale-in": plan.forecast_view("chat", expected({"replicas": 1}, 400, 600), created=False),
    "plan-scale-out": plan.forecast_view("chat", expected({"replicas": 4}, 400, 600), created=False),
    "plan-further": Group(
        *plan.further(
            'pods "chat-tvwbcdfghj-x2x7z" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3,'
            " limited: pods=3",
            Upcoming("tvwbcdfghj", None),
            NOW,
        )
    ),
    "plan-drain-rate": plan.forecast_view(
        "chat", expected({"rollout": {"drain": {"connectionsPerSecond": 20}}}, 400, 600), created=False
    ),
    "probe": probe.listener_table(
        [listener("endpoint", 1, 2, 3, 4), listener("chat-a", 1, 9), listener("chat-b", refusal="no connection")], 4
    ),
    "doctor": doctor.finding_table(FINDINGS),
    "top": top_table(servers(120, 0), {"chat-0": history()}),
    "top-narrow": top_table(servers(120, 0), {"chat-0": history()}, narrow=True),
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_is_printed_is_the_golden_text(name: str) -> None:
    check_golden(FOLDER / f"{name}.txt", plain(VIEWS[name]))


def test_every_golden_text_is_of_a_view() -> None:
    """No golden file is left from a removed view."""
    assert {path.stem for path in FOLDER.glob("*.txt")} == VIEWS.keys()


def test_the_reference_is_what_the_commands_say() -> None:
    """The committed reference is that of `make docs`."""
    assert REFERENCE.read_text() == build_reference(), "run `make docs`"
