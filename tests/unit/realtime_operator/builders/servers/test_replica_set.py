"""Tests of the server pods."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.servers.replica_set import build_replica_set
from realtime_operator.builders.settings import BuildSettings
from tests.kit.document import dig, object_at, objects_at
from tests.kit.manifests import SETTINGS, cluster_of


def template(spec: JsonObject | None = None, settings: BuildSettings = SETTINGS) -> JsonObject:
    """Return the pod template of a spec."""
    return object_at(build_replica_set(cluster_of(spec), settings, "bcdfghjkmn"), "spec", "template")


def container(spec: JsonObject | None = None) -> JsonObject:
    """Return the only container."""
    (found,) = objects_at(template(spec), "spec", "containers")
    return found


def test_a_new_pod_serves() -> None:
    """New pods have the label that the Services select."""
    assert object_at(template(), "metadata", "labels")[naming.LABEL_SERVING] == "true"


def test_a_quiesced_pod_stays_with_its_replica_set() -> None:
    """The selector lacks the serving label: otherwise the ReplicaSet would replace a quiesced pod."""
    selector = object_at(build_replica_set(cluster_of(), SETTINGS, "b"), "spec", "selector", "matchLabels")
    assert set(selector) == {naming.LABEL_CLUSTER, naming.LABEL_COMPONENT, naming.LABEL_REVISION}


def test_it_may_take_its_time_to_drain() -> None:
    """The grace period covers settling, draining and stopping."""
    spec: JsonObject = {"rollout": {"drain": {"timeout": "20m", "settle": "10s"}}}
    assert dig(template(spec), "spec", "terminationGracePeriodSeconds") == 1200 + 10 + 30
    assert dig(container(), "lifecycle", "preStop", "exec", "command") == ["realtime-server", "drain"]


def test_it_fits_the_restricted_pod_security_standard() -> None:
    pod = object_at(template(), "spec")
    context, own = object_at(pod, "securityContext"), object_at(container(), "securityContext")
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["readOnlyRootFilesystem"] is True
    kinds = {kind for volume in objects_at(pod, "volumes") for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "secret", "projected", "emptyDir"}


def test_it_has_no_credentials_for_the_api_server() -> None:
    assert dig(template(), "spec", "automountServiceAccountToken") is False


def test_no_secret_is_in_its_environment() -> None:
    """The environment has three plain variables, none from a Secret."""
    environment = objects_at(container(), "env")
    assert [variable["name"] for variable in environment] == [
        naming.ENV_CONFIG,
        naming.ENV_SERVER_NAME,
        naming.ENV_REVISION,
    ]
    assert all("secretKeyRef" not in object_at(variable, "valueFrom") for variable in environment)


def test_probes_ask_the_admin_port() -> None:
    """Clients cannot keep the admin port busy."""
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert dig(container(), probe, "httpGet", "port") == naming.PORT_NAME_ADMIN


def test_labels_of_the_spec_are_added() -> None:
    """The spec's labels and annotations are added to the operator's."""
    metadata = object_at(template({"pod": {"labels": {"team": "a"}, "annotations": {"b": "c"}}}), "metadata")
    assert object_at(metadata, "labels")["team"] == "a"
    assert object_at(metadata, "labels")[naming.LABEL_CLUSTER] == "chat"
    assert metadata["annotations"] == {"b": "c"}


def test_what_is_not_set_is_not_written() -> None:
    """Empty fields are left out: the API server drops them, and they would be applied again and again."""
    assert not object_at(template(), "spec").keys() & {"nodeSelector", "tolerations", "imagePullSecrets"}
    assert "annotations" not in object_at(template(), "metadata")


def test_pull_secrets_of_operator_and_spec_are_joined() -> None:
    """Pull secrets are sorted and unique."""
    settings = BuildSettings("server:1", "redis:7", image_pull_secrets=("b", "c"))
    pod = object_at(template({"pod": {"imagePullSecrets": [{"name": "c"}, {"name": "a"}]}}, settings), "spec")
    assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}, {"name": "c"}]


def test_the_pull_policy_of_the_spec_wins() -> None:
    assert container()["imagePullPolicy"] == "IfNotPresent"
    assert container({"image": {"pullPolicy": "Always"}})["imagePullPolicy"] == "Always"


def test_the_log_is_set_only_where_it_differs_from_the_default() -> None:
    """The server's own defaults are these; a pod without such a spec has no further variables."""
    environment = {
        v["name"]: v.get("value") for v in objects_at(container({"server": {"logging": {"level": "Debug"}}}), "env")
    }
    assert environment["LOG_LEVEL"] == "debug"
    assert "LOG_FORMAT" not in environment
    spec: JsonObject = {"server": {"logging": {"level": "Info", "format": "Json"}}}
    assert template(spec) == template()
