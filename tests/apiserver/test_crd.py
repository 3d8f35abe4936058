"""Tests of the resource with kubectl: explained, listed, refused; and of its status."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.plan import EmitEvent, EventType
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.event_recorder import EventRecorder
from tests.kit.apiserver import ApiServer, RefusedError
from tests.kit.cluster.layout import Layout
from tests.kit.deadline import eventually

FORMER = Path(__file__).parents[1] / "fixtures" / "conversion" / "former.yaml"
CONVERTED = FORMER.with_name("converted.yaml")
STATUS: JsonObject = {
    "phase": "Ready", "message": "enough servers are available", "ready": "2/2", "connections": 300,
    "madeWith": {"serverImage": "server:1"}, "budget": {"connectionsPerSecond": 12.5}, "autoscaling": {"bounds": "2-8"},
}  # fmt: skip


class Kubectl:
    """kubectl as the administrator, in a namespace."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._options = ("--kubeconfig", str(server.kubeconfig()), "--namespace", namespace)

    def __call__(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with `text` as its input."""
        command = [str(Layout.from_environ().programs / "kubectl"), *self._options, *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


@pytest.fixture
def kubectl(api_server: ApiServer, namespace: str) -> Kubectl:
    """Access to kubectl in the test's namespace."""
    return Kubectl(api_server, namespace)


@pytest.fixture
def stored(api_server: ApiServer, namespace: str) -> JsonObject:
    """A stored RealtimeCluster."""
    document: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "chat"}}
    return api_server.call("POST", path_of(naming.API_VERSION, naming.KIND, namespace), document)


def patch_status(server: ApiServer, namespace: str, status: JsonObject) -> None:
    """Merge-patch the status."""
    path = path_of(naming.API_VERSION, naming.KIND, namespace, "chat", "status")
    server.call("PATCH", path, {"status": status})


def columns(line: str) -> list[str]:
    """Return the cells of a table's line, which are separated by three spaces or more."""
    return [cell for cell in line.split("  ") if cell.strip()]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("spec.hooks.connect.whenDown", ["<string>", "ENUM: Deny Allow", "Policy while the backend does not answer."]),
        ("spec.auth.jwks.ca.secretKeyRef", ["name <string> -required-", "key <string> -required-"]),
        ("spec.server.heartbeat.interval", ["Time between two pings on a connection.", "Must be a duration like 30s"]),
        ("status.conditions", ["lastTransitionTime <string> -required-", "enum: True, False, Unknown"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_fields_are_explained(kubectl: Kubectl, path: str, expected: list[str]) -> None:
    """Type, choices, units and limits are explained; the API server publishes them some time after the definition."""

    async def explain() -> subprocess.CompletedProcess[str]:
        return kubectl("explain", f"rtc.{path}")

    explained = await eventually(explain, lambda done: done.returncode == 0, what="explanation", within=60, every=0.5)
    text = " ".join(explained.stdout.split())
    assert [part for part in expected if part not in text] == [], explained.stdout


def test_clusters_are_listed(kubectl: Kubectl, api_server: ApiServer, namespace: str, stored: JsonObject) -> None:
    """READY is as for a Deployment; further columns are in -o wide."""
    assert stored
    patch_status(api_server, namespace, STATUS)
    head, row = kubectl("get", "rtc").stdout.splitlines()
    assert head.split() == ["NAME", "PHASE", "READY", "CONNECTIONS", "REVISION", "ENDPOINT", "AGE"]
    assert row.split()[:4] == ["chat", "Ready", "2/2", "300"]
    head, row = kubectl("get", "rtc", "-o", "wide").stdout.splitlines()
    assert head.split()[-4:] == ["IMAGE", "BUDGET", "AUTOSCALING", "MESSAGE"]
    assert [cell.strip() for cell in columns(row)][-4:] == ["server:1", "12.5", "2-8", "enough servers are available"]


@pytest.mark.parametrize("change", [{"reason": None}, {"reason": "two words"}, {"lastTransitionTime": "now"}], ids=str)
def test_a_condition_that_is_none_is_refused(
    api_server: ApiServer, namespace: str, stored: JsonObject, change: JsonObject
) -> None:
    """An incomplete or invalid condition is refused, as for other kinds."""
    assert stored
    condition: JsonObject = {
        "type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    patch_status(api_server, namespace, {"conditions": [condition]})
    broken: JsonObject = {name: value for name, value in {**condition, **change}.items() if value is not None}
    with pytest.raises(RefusedError, match=next(iter(change))) as refused:
        patch_status(api_server, namespace, {"conditions": [broken]})
    assert refused.value.status == 422


def test_former_words_are_refused_and_converted_ones_are_not(kubectl: Kubectl) -> None:
    """The message has the field's path and the current values."""
    refused = kubectl("apply", "-f", "-", text=FORMER.read_text())
    assert refused.returncode != 0
    assert 'unknown field "spec.image.pullSecrets"' in refused.stderr
    spec = {"hooks": {"connect": {"url": "http://a", "whenDown": "allow"}}}
    document = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "a"}, "spec": spec}
    refused = kubectl("apply", "-f", "-", text=yaml.safe_dump(document))
    assert 'whenDown: Unsupported value: "allow": supported values: "Deny", "Allow"' in refused.stderr
    applied = kubectl("apply", "-f", "-", text=CONVERTED.read_text())
    assert applied.returncode == 0, applied.stderr
    assert "realtimecluster.realtime.dev/chat created" in applied.stdout


async def test_events_are_described_with_their_count(
    kubectl: Kubectl, operator_client: KubernetesClient, stored: JsonObject
) -> None:
    recorder = EventRecorder(operator_client)
    for _ in range(3):
        await recorder.record(stored, EmitEvent(EventType.WARNING, "TestReason", "something has changed"))
    described = kubectl("describe", "rtc", "chat").stdout
    (line,) = [line for line in described.splitlines() if "TestReason" in line]
    assert "(x3 over" in line
    assert "something has changed" in line
