"""The chart sets what the operator reads, and nothing that it does not know."""

from __future__ import annotations

import pytest

from realtime_operator.handlers.lifecycle import planner_settings
from realtime_operator.settings import PREFIX, Settings
from tests.kit.chart import GOLDEN_NAMES, golden
from tests.kit.document import objects_at, text_at


def environment(name: str) -> dict[str, str]:
    """The environment of the operator's container; what comes from the pod has a stand-in."""
    (deployment,) = [manifest for manifest in golden(name) if text_at(manifest, "kind") == "Deployment"]
    (container,) = objects_at(deployment, "spec", "template", "spec", "containers")
    variables = objects_at(container, "env")
    return {text_at(item, "name"): text_at(item, "value") if "value" in item else "from-the-pod" for item in variables}


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_setting_is_set(name: str) -> None:
    """Each setting of the operator is an environment variable of the container, and each such variable a setting."""
    own = {variable for variable in environment(name) if variable.startswith(PREFIX)}
    assert own == {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_operator_accepts_its_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator starts with what the chart sets."""
    for variable, value in environment(name).items():
        monkeypatch.setenv(variable, value)
    settings = Settings.load()
    watched = {"namespaced": ("team-a", "team-b"), "one-namespace": ("realtime-system",)}
    assert settings.namespaces == watched.get(name, ())
    assert settings.identity == settings.namespace == settings.lease_namespace == "from-the-pod"
    secrets = planner_settings(settings).build.image_pull_secrets
    assert secrets == (("registry", "mirror") if name == "namespaced" else ())


def test_defaults_of_chart_and_operator_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever installs with the chart's defaults gets the operator's own defaults."""
    for variable, value in environment("cluster-wide").items():
        monkeypatch.setenv(variable, value)
    own = {"server_image", "redis_image", "identity", "namespace", "lease_namespace"}
    settings, fields = Settings.load(), Settings.model_fields
    assert {name: getattr(settings, name) for name in fields if name not in own} == {
        name: field.default for name, field in fields.items() if name not in own
    }
