"""`doctor`: checks the path from the platform to a delivered message, with advice for each problem."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence

from rich.console import RenderableType

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, objects_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli.client import Message
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.commands.probe import ARRIVAL_SECONDS, channel_of
from realtime_operator.cli.document import text
from realtime_operator.cli.output import Output, OutputOption, document, show, table, word, working
from realtime_operator.cli.target import Finding, Severity, Target, credential, find, read_cluster
from realtime_operator.errors import InputError, OperatorError
from realtime_operator.planning.model.world import Server

SHORTEST_SECRET = 32
"""Minimum bytes of a key for HS256 (RFC 7518, section 3.2)."""
FAILED = 1
GOOD_WHEN_FALSE = frozenset({"Degraded", "Progressing"})
SETTLED = "Settled"


async def doctor(target: Target, cluster: ClusterOption = None, output: OutputOption = Output.TABLE) -> int:
    """Check everything from the platform to a delivered message, and say what to do. The exit code is 1 for an error.

    Examples:
      realtime doctor
      kubectl realtime doctor -c chat -n team

    """
    with working("checking"):
        findings = await _findings(target, cluster)
    if output in {Output.JSON, Output.YAML}:
        document([to_object(finding) for finding in findings], output)
    else:
        show(finding_table(findings))
    return FAILED if any(finding.severity is Severity.ERROR for finding in findings) else 0


async def _findings(target: Target, cluster: str | None) -> list[Finding]:
    findings = list(await target.check())
    try:
        stored = await find(target, cluster)
    except InputError as error:
        advice = (
            "create one: `realtime init > chat.yaml`, then `kubectl apply -f chat.yaml` or `realtime up -f chat.yaml`"
        )
        return [*findings, Finding("cluster", Severity.ERROR, str(error), advice)]
    return [*findings, *await _examine(target, stored)]


def to_object(finding: Finding) -> JsonObject:
    """Return the finding as a JSON object."""
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "message": finding.message,
        "advice": finding.advice,
    }


def finding_table(findings: Sequence[Finding]) -> RenderableType:
    """Return a table with a line for each check, and a second one for its advice."""
    return table(("CHECK", "STATE", "FOUND"), [_row(finding) for finding in findings])


def _row(finding: Finding) -> tuple[RenderableType, ...]:
    advice = f"\n-> {finding.advice}" if finding.advice else ""
    return (finding.check, word(finding.severity.value), f"{finding.message}{advice}")


async def _examine(target: Target, stored: JsonObject) -> Sequence[Finding]:
    cluster = read_cluster(stored)
    servers = await target.servers(cluster.metadata.name)
    return [
        *conditions(stored),
        *_servers(servers, expected=cluster.spec.autoscaling is not None or cluster.spec.replicas > 0),
        await _keys(target, cluster),
        file_limit(cluster, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        await _delivery(target, cluster),
    ]


def conditions(stored: JsonObject) -> list[Finding]:
    """Return findings from the conditions of the cluster; missing conditions are a finding too."""
    stated = objects_at(stored, "status", "conditions")
    if not stated:
        advice = "is the operator running? kubectl get pods -A -l app.kubernetes.io/name=realtime-operator"
        return [Finding("operator", Severity.ERROR, "it has not reported any status of the cluster", advice)]
    if dig(stored, "status", "observedGeneration") != dig(stored, "metadata", "generation"):
        late = Finding(
            "operator",
            Severity.WARNING,
            "it has not observed the latest change yet",
            "wait, or read the operator's log",
        )
    else:
        late = Finding("operator", Severity.OK, "it has observed the latest change")
    bad = [condition for condition in stated if _is_bad(condition)]
    found = [
        Finding(
            text(condition, "type"),
            Severity.WARNING if condition.get("type") == "Progressing" else Severity.ERROR,
            f"{text(condition, 'reason')}: {text(condition, 'message')}",
            ADVICE_BY_REASON.get(text(condition, "reason"), ADVICE.get(text(condition, "type"), "")),
        )
        for condition in bad
    ]
    return [late, *(found or [Finding("conditions", Severity.OK, "all are as expected")])]


def _is_bad(condition: JsonObject) -> bool:
    """Return True for a condition that needs attention, also Progressing with a reason other than Settled."""
    if condition.get("type") == "Progressing":
        return condition.get("reason") != SETTLED
    return condition.get("status") == ("True" if condition.get("type") in GOOD_WHEN_FALSE else "False")


ADVICE_BY_REASON = {
    "OperatorPaused": "docs/runbooks/pause-the-operator.md",
    "Paused": "run `realtime rollout resume`, which sets spec.paused to false",
    "MovesHeld": "`realtime status` says why and until when; docs/reference/conditions-and-events.md#brakes",
    "EndpointUnavailable": "docs/runbooks/cluster-degraded.md#nametaken",
    "ClientsRefused": "docs/runbooks/cluster-degraded.md#movednotarriving-clientsrefused",
    "BackplaneUnavailable": "docs/runbooks/backplane-down.md",
    "GateFailed": "docs/runbooks/gate-failed.md",
}
"""Advice by the reason of a condition, where it is more specific than the type."""

ADVICE = {
    "Accepted": "correct the spec as the message says; nothing changes until then",
    "Ready": "docs/runbooks/no-capacity.md",
    "BackplaneReady": "docs/runbooks/backplane-down.md",
    "Degraded": "docs/runbooks/cluster-degraded.md",
    "EndpointReady": "docs/runbooks/cluster-degraded.md#routenotaccepted-routenotresolved",
    "CredentialsKept": "docs/runbooks/credentials-replaced.md",
    "Progressing": "wait: `realtime rollout status` shows the progress",
}


def _servers(servers: Sequence[Server], *, expected: bool) -> list[Finding]:
    if expected and not servers:
        advice = "`realtime describe` shows why none was made; on Kubernetes look at the Events of its ReplicaSets too"
        return [Finding("servers", Severity.ERROR, "there are none, although the spec asks for some", advice)]
    silent = [server.name for server in servers if server.report is None and not server.terminating]
    cut = [server.name for server in servers if server.report is not None and not server.report.backplane_healthy]
    findings = []
    if silent:
        advice = "see `realtime logs SERVER`; on Kubernetes you need permission for pods/proxy"
        findings.append(Finding("servers", Severity.ERROR, f"do not answer: {', '.join(silent)}", advice))
    if cut:
        findings.append(
            Finding("backplane", Severity.ERROR, f"cannot reach Redis: {', '.join(cut)}", ADVICE["BackplaneReady"])
        )
    answering = [server for server in servers if server.report is not None]
    return findings or [Finding("servers", Severity.OK, f"{len(answering)} answer, all reach the backplane")]


async def _keys(target: Target, cluster: RealtimeCluster) -> Finding:
    try:
        secret = await credential(target, cluster, naming.KEY_TOKEN_SECRET)
        await credential(target, cluster, naming.KEY_API)
    except OperatorError as error:
        return Finding(
            "keys", Severity.ERROR, str(error), "create the Secret, or remove the reference to have one generated"
        )
    if len(secret.encode()) < SHORTEST_SECRET:
        advice = f"use at least {SHORTEST_SECRET} random bytes (RFC 7518): openssl rand -base64 32"
        return Finding("keys", Severity.WARNING, f"the token secret has only {len(secret.encode())} bytes", advice)
    return Finding("keys", Severity.OK, "the token secret and the API key exist and are long enough")


def file_limit(cluster: RealtimeCluster, limit: int) -> Finding:
    """Check that `limit` open files suffice for the connections that a server accepts."""
    wanted = cluster.spec.server.limits.connections
    if limit != resource.RLIM_INFINITY and limit < wanted:
        message = f"a process started here may open {limit} files, but spec.server.limits.connections is {wanted}"
        return Finding("sockets", Severity.WARNING, message, f"run `ulimit -n {wanted + 1024}` before `realtime up`")
    return Finding("sockets", Severity.OK, f"enough for {wanted} connections per server")


class Arrivals:
    """Event that is set by the first message."""

    def __init__(self) -> None:
        self._arrived = asyncio.Event()

    def note(self, _message: Message) -> None:
        """Note the arrival of a message."""
        self._arrived.set()

    async def wait(self) -> None:
        """Wait for a message; raises TimeoutError."""
        async with asyncio.timeout(ARRIVAL_SECONDS):
            await self._arrived.wait()


async def _delivery(target: Target, cluster: RealtimeCluster) -> Finding:
    """Check that a published message reaches a client."""
    # Only now: it takes a fifth of a second to import.
    from realtime_operator.cli.client import own_token, subscribed, why_not_connect

    reason = why_not_connect(cluster)
    if reason is not None:
        return Finding("delivery", Severity.OK, f"not checked: {reason}")
    channel, arrived = channel_of(cluster), Arrivals()
    try:
        token = await own_token(target, cluster, "realtime-doctor", channel)
        async with subscribed(await target.client_endpoint(cluster.metadata.name), token, channel, arrived.note):
            answer = await target.call_api(cluster.metadata.name, "publish", {"channel": channel, "data": "doctor"})
            if answer.get("error") is not None:
                return Finding("delivery", Severity.ERROR, f"the API refuses to publish: {answer['error']}")
            await arrived.wait()
    except TimeoutError:
        return Finding("delivery", Severity.ERROR, "a published message did not arrive", ADVICE["BackplaneReady"])
    except OperatorError as error:
        return Finding("delivery", Severity.ERROR, str(error), "`realtime logs SERVER` may say why")
    return Finding("delivery", Severity.OK, "a published message arrived at a client")
