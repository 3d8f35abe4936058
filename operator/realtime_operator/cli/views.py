"""Views of a cluster for people: renderables made from its document, pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from realtime_operator.api import duration
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, objects_at
from realtime_operator.api.v1alpha1_canary import DEFAULT_HOLD
from realtime_operator.cli.document import age, text, until, whole
from realtime_operator.cli.output import bar, number, table, word
from realtime_operator.cli.target import Event
from realtime_operator.planning.canary.steps import Phase
from realtime_operator.planning.forecast import Forecast
from realtime_operator.planning.model.timestamps import parse_timestamp
from realtime_operator.planning.scheduling.slots import WAITING, SlotState

NEWER_DEFAULTS = (
    ("Servers", "serverImage", "`realtime rollout restart` applies it"),
    ("Redis", "redisImage", "a change of spec.backplane.redis.managed applies it and deletes all histories"),
)
"""Parts of a cluster that keep the defaults they were made with: name, image field, and how to update them."""
CLUSTER_HEADERS = ("NAME", "PHASE", "READY", "CONNECTIONS", "REVISION", "ENDPOINT", "AGE")
WIDE_HEADERS = ("IMAGE", "BUDGET", "AUTOSCALING", "MESSAGE")


def cluster_table(clusters: Sequence[JsonObject], *, wide: bool, now: datetime | None = None) -> Table:
    """Return a table with a line for each cluster, with the columns of `kubectl get rtc`, or of its `-o wide`."""
    headers = (*CLUSTER_HEADERS, *(WIDE_HEADERS if wide else ()))
    rows = (_cluster_row(cluster, wide=wide, now=now) for cluster in clusters)
    return table(headers, rows, right=("CONNECTIONS", "BUDGET"))


def _cluster_row(cluster: JsonObject, *, wide: bool, now: datetime | None) -> list[RenderableType]:
    row: list[RenderableType] = [
        text(cluster, "metadata", "name"),
        word(text(cluster, "status", "phase", default="Pending")),
        text(cluster, "status", "ready", default="-"),
        _connections(cluster),
        text(cluster, "status", "targetRevision", default="-"),
        text(cluster, "status", "endpoints", "client", default="-"),
        age(text(cluster, "metadata", "creationTimestamp"), now),
    ]
    if wide:
        row += [
            text(cluster, "status", "madeWith", "serverImage", default="-"),
            text(cluster, "status", "budget", "connectionsPerSecond", default="-"),
            text(cluster, "status", "autoscaling", "bounds", default="-"),
            text(cluster, "status", "message", default="-"),
        ]
    return row


def condition_message(cluster: JsonObject, kind: str) -> str:
    """Return the message of a condition; empty when there is none."""
    found = [c for c in objects_at(cluster, "status", "conditions") if c.get("type") == kind]
    return text(found[0], "message") if found else ""


def problems(cluster: JsonObject) -> list[str]:
    """Return the messages of the conditions that have an undesired status, without repetitions."""
    good = {
        "Accepted": "True",
        "BackplaneReady": "True",
        "CredentialsKept": "True",
        "Degraded": "False",
        "EndpointReady": "True",
        "Ready": "True",
    }
    found = [
        text(condition, "message")
        for condition in objects_at(cluster, "status", "conditions")
        if text(condition, "status") != good.get(text(condition, "type"), text(condition, "status"))
    ]
    return list(dict.fromkeys(found))


def status_view(cluster: JsonObject, where: str, now: datetime | None = None) -> RenderableType:
    """Return a view of the whole status."""
    name = text(cluster, "metadata", "name")
    phase = text(cluster, "status", "phase", default="Pending")
    title = Text.assemble((name, "bold"), "  ", word(phase), "  ", (f"on {where}", "dim"))
    parts: list[RenderableType] = [title, "", _facts(cluster, now), "", _conditions(cluster)]
    if objects_at(cluster, "status", "canary", "gates"):
        parts += ["", gate_table(cluster)]
    if objects_at(cluster, "status", "servers"):
        parts += ["", server_table(cluster)]
    return Group(*parts)


def _facts(cluster: JsonObject, now: datetime | None) -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for label, value in _fact_lines(cluster, now):
        facts.add_row(label, value)
    return facts


def _connections(cluster: JsonObject) -> str:
    """Return the number of connections; `?` when a server that may have some does not answer."""
    silent = any("unreachableSince" in server for server in objects_at(cluster, "status", "servers"))
    return text(cluster, "status", "connections", default="?" if silent else "0")


def connections_line(cluster: JsonObject, now: datetime | None = None) -> str:
    """Return the number of connections; when it is unknown, the last known number and its age."""
    servers = objects_at(cluster, "status", "servers")
    silent = [server for server in servers if "unreachableSince" in server]
    if not silent:
        return _connections(cluster)
    last = sum(whole(server, "connections") or whole(server, "lastConnections") or 0 for server in servers)
    oldest = min(text(server, "unreachableSince") for server in silent)
    names = f"{len(silent)} server{'s' if len(silent) > 1 else ''}"
    return f"unknown: {names} not answering for {age(oldest, now)}; {last} at the last answer"


def _fact_lines(cluster: JsonObject, now: datetime | None) -> Iterator[tuple[str, str]]:
    current, target = (text(cluster, "status", f"{which}Revision") for which in ("current", "target"))
    yield "Revision", (target or "-") if current == target or not current else f"{current} -> {target}"
    available, there = (text(cluster, "status", field, default="0") for field in ("readyReplicas", "replicas"))
    yield "Servers", f"{available} of {there} available"
    yield "Connections", connections_line(cluster, now)
    yield "Clients", text(cluster, "status", "endpoints", "client", default="-")
    yield "API", text(cluster, "status", "endpoints", "api", default="-")
    if dig(cluster, "status", "newerDefaults") is not None:
        yield "Defaults", defaults_line(cluster)
    if dig(cluster, "status", "rollout") is not None:
        yield "Rollout", rollout_line(cluster)
    waiting = waiting_line(cluster, now)
    if waiting:
        yield "Waits", waiting
    if dig(cluster, "status", "canary") is not None:
        yield "Canary", canary_line(cluster, now)
    held = held_line(cluster)
    if held:
        yield "Held", held
    desired = whole(cluster, "status", "autoscaling", "desiredReplicas")
    if desired is not None:
        lowest = text(cluster, "spec", "autoscaling", "minReplicas", default="2")
        highest = text(cluster, "spec", "autoscaling", "maxReplicas")
        yield "Autoscaling", f"{desired} servers, between {lowest} and {highest}"


def canary_line(cluster: JsonObject, now: datetime | None = None) -> str:
    """Return the step of the canary, its phase, its weight in a route, and the rest of its hold."""
    steps = objects_at(cluster, "spec", "rollout", "canary", "steps")
    step, phase = whole(cluster, "status", "canary", "step") or 1, text(cluster, "status", "canary", "phase")
    line = f"revision {text(cluster, 'status', 'canary', 'revision')}, step {step} of {max(step, len(steps))}"
    share, hold = (text(steps[step - 1], name) if step <= len(steps) else "" for name in ("share", "hold"))
    line += f" ({share}): {phase}" if share else f": {phase}"
    weight = whole(cluster, "status", "canary", "weight")
    line += f", gets {weight}% of the new connections" if weight is not None else ""
    since = parse_timestamp(dig(cluster, "status", "canary", "since"))
    if phase != Phase.HOLDING or since is None:
        failed = text(cluster, "status", "canary", "failedGate")
        return f"{line}, gate {failed} has failed" if failed else line
    if text(cluster, "status", "phase") == "Paused":
        return f"{line}, begins anew after the pause"
    left = duration.seconds(hold or DEFAULT_HOLD) - ((now or datetime.now(UTC)) - since).total_seconds()
    return f"{line}, {left:.0f} s left" if left > 0 else f"{line}, until all gates have passed"


def gate_table(cluster: JsonObject) -> Table:
    """Return a table with a line for each gate of the canary's step."""
    rows = [
        (text(gate, "name"), word(text(gate, "outcome")), text(gate, "message"))
        for gate in objects_at(cluster, "status", "canary", "gates")
    ]
    return table(("GATE", "OUTCOME", "NUMBERS"), rows)


def held_line(cluster: JsonObject) -> str:
    """Return why connections are not moved now, and when that ends; empty when moves are not held."""
    found = [c for c in objects_at(cluster, "status", "conditions") if c.get("type") == "Progressing"]
    if not found or found[0].get("reason") != "MovesHeld":
        return ""
    message, until = (text(cluster, "status", "hold", field) for field in ("message", "until"))
    return f"{message}; continues at {until} if that is not seen again"


def waiting_line(cluster: JsonObject, now: datetime | None = None) -> str:
    """Return what a rollout by the operator waits for, and how long; empty when none waits."""
    state = text(cluster, "status", "rolloutSlot", "state")
    if state not in set(WAITING):
        return ""
    message, opens = condition_message(cluster, "Progressing"), text(cluster, "status", "maintenance", "nextWindow")
    if state == SlotState.WAITING_FOR_WINDOW and opens:
        message += f", {until(datetime.fromisoformat(opens), now or datetime.now(UTC))}"
    return message


def defaults_line(cluster: JsonObject) -> str:
    """Describe the parts that keep the defaults of an earlier operator, the new defaults, and how to adopt them."""
    newer = dig(cluster, "status", "newerDefaults")
    release = text(cluster, "status", "defaults", "operatorVersion", default="now")
    before = text(cluster, "status", "madeWith", "operatorVersion", default="an earlier release")
    lines: list[str] = []
    for part, image, way in NEWER_DEFAULTS:
        if isinstance(newer, list) and part in newer:
            made, now = (text(cluster, "status", which, image, default="?") for which in ("madeWith", "defaults"))
            difference = (
                f"made with {made}, now {now}" if made != now else f"made by operator {before}, differs in {release}"
            )
            lines.append(f"{part}: {difference}; {way}")
    return "\n".join(lines)


def rollout_line(cluster: JsonObject) -> str:
    """Return the progress of the rollout in one sentence; `none` without a rollout."""
    if dig(cluster, "status", "rollout") is None:
        return "none"
    updated, old, left = (
        whole(cluster, "status", "rollout", field) or 0
        for field in ("updatedServers", "oldServers", "connectionsToMove")
    )
    rate = dig(cluster, "status", "budget", "connectionsPerSecond")
    line = f"{updated} new and {old} old servers, {left} connections to move"
    if isinstance(rate, int | float) and rate > 0:
        line += f" at {number(rate)} per second (about {left / rate:.0f} s)"
    draining = dig(cluster, "status", "rollout", "drainingServers")
    return f"{line}, draining: {', '.join(map(str, draining))}" if isinstance(draining, list) and draining else line


def _conditions(cluster: JsonObject) -> Table:
    rows = [
        (text(c, "type"), text(c, "status"), text(c, "reason"), text(c, "message"))
        for c in objects_at(cluster, "status", "conditions")
    ]
    return table(("CONDITION", "STATUS", "REASON", "MESSAGE"), rows)


def server_table(cluster: JsonObject) -> Table:
    """Return a table with a line for each server and a bar of its connections."""
    servers = objects_at(cluster, "status", "servers")
    most = max((whole(server, "connections") or 0 for server in servers), default=0)
    target = text(cluster, "status", "targetRevision")
    rows = [
        (
            text(server, "name"),
            f"{text(server, 'revision')}{'' if server.get('revision') == target else ' (old)'}",
            word(text(server, "state")),
            "yes" if server.get("ready") is True else "no",
            text(
                server, "connections", default=f"? (was {last})" if (last := text(server, "lastConnections")) else "?"
            ),
            bar(whole(server, "connections") or 0, most),
        )
        for server in servers
    ]
    return table(("SERVER", "REVISION", "STATE", "READY", "CONNECTIONS", ""), rows, right=("CONNECTIONS",))


def moving_view(cluster: JsonObject) -> RenderableType:
    """Return the servers and the progress of a rollout, for a live view."""
    if not objects_at(cluster, "status", "servers"):
        return Text("starting", style="dim")
    parts: list[RenderableType] = ["", server_table(cluster)]
    if dig(cluster, "status", "rollout") is not None:
        parts.append(Text(rollout_line(cluster), style="yellow"))
    return Group(*parts)


def event_table(events: Sequence[Event], now: datetime | None = None) -> Table:
    """Return a table of Events, oldest first."""
    rows = [(age(event.at, now), word(event.type), event.reason, event.message) for event in events]
    return table(("AGE", "TYPE", "REASON", "MESSAGE"), rows)


def describe_view(
    cluster: JsonObject, events: Sequence[Event], where: str, now: datetime | None = None
) -> RenderableType:
    """The status and the latest Events."""
    shown: RenderableType = event_table(events, now) if events else "no events"
    return Group(status_view(cluster, where, now), "", Text("Events", style="bold"), shown)


def consequences(expected: Forecast) -> list[str]:
    """Return the consequences of a change, a sentence each."""
    if expected.replaces_servers:
        count = expected.servers_replaced
        what = "1 server is replaced" if count == 1 else f"{count} servers are replaced"
        lines = [f"revision {expected.revision}: {what}"]
    elif expected.servers_before != expected.servers_after:
        lines = [f"servers: {expected.servers_before} -> {expected.servers_after}"]
    else:
        lines = ["no server is replaced"]
    if expected.rejection is not None:
        lines.append(f"{expected.connections} connections would have to move")
        lines.append(f"the operator would not move them (PlanRejected): {expected.rejection}")
        return lines
    if expected.connections:
        rate = number(expected.connections_per_second)
        lines.append(f"{expected.connections} connections move, at most {rate} reconnects per second")
    else:
        lines.append("no connection moves")
    for count, step in enumerate(expected.steps, 1):
        servers = "1 server" if step.servers == 1 else f"{step.servers} servers"
        part = f"({step.share})"
        if step.beside is not None:
            part = f"beside the current {step.beside}, with {step.share} of the new connections,"
        lines.append(f"step {count} of {len(expected.steps)}: {servers} {part} must do well for {step.hold_seconds} s")
    if expected.seconds:
        lines.append(f"takes about {expected.seconds:.0f} s")
    if expected.room is not None and (expected.connections or expected.servers_after < expected.servers_before):
        free = expected.room - expected.open_connections
        lines.append(
            f"{expected.open_connections} connections are open; afterwards the servers have room for {free} more"
        )
    return [*lines, *rolled_back_lines(expected)]


def rolled_back_lines(expected: Forecast) -> list[str]:
    """Return what the spec's own revision waits for, after it was rolled back; empty otherwise."""
    if expected.rolled_back is None:
        return []
    again = "another change of the spec, or `realtime rollout resume`, lets it be tried again"
    return [f"revision {expected.rolled_back} has failed a gate and was rolled back: {again}"]


def change_lines(expected: Forecast) -> list[str]:
    """Return a line for each change of the spec."""
    return [f"{c.path}: {value_text(c.before)} -> {value_text(c.after)}" for c in expected.changes]


def value_text(value: JsonValue) -> str:
    """Return a value of the spec as it is shown in a list of changes: text as it is, others as JSON."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
