"""What a worker says of itself with its spans, and that nothing of it is there without tracing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from realtime_server.settings import ENV_REVISION, ENV_SERVER_NAME
from realtime_server.tracing.worker_tracing import resource_of
from realtime_server.tracing_settings import Tracing

SETTINGS = Tracing(endpoint="http://collector:4318", service_name="chat", service_namespace="default")
VARIABLES = ("KUBERNETES_SERVICE_HOST", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", ENV_REVISION)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the server, and remove other variables."""
    monkeypatch.setenv(ENV_SERVER_NAME, "chat-1")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_worker_is_an_instance_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_REVISION, "abc")
    found = resource_of(SETTINGS, 1).attributes
    assert (found["service.name"], found["service.namespace"]) == ("chat", "default")
    assert (found["service.instance.id"], found["realtime.worker"]) == ("chat-1/1", 1)
    assert found["realtime.revision"] == "abc"
    assert not [name for name in found if name.startswith("k8s.")]


def test_in_a_pod_it_is_named_as_kubernetes_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    found = resource_of(SETTINGS, 0).attributes
    assert (found["k8s.pod.name"], found["k8s.namespace.name"]) == ("chat-1", "default")
    assert "realtime.revision" not in found


def test_the_standard_variables_override_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    found = resource_of(SETTINGS, 0).attributes
    assert (found["service.name"], found["deployment.environment.name"]) == ("other", "staging")


def test_without_tracing_nothing_of_it_is_imported() -> None:
    """The whole server is imported, and nothing of OpenTelemetry, nor the HTTP client of its exporter."""
    program = (
        "import sys; import realtime_server.supervisor;"
        "print(sorted({'opentelemetry', 'requests', 'urllib3'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=60)
    assert found.stdout == "[]\n", found.stderr
