"""Tests of the trial pod of a changed Redis."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.redis.stateful_set import build_redis_stateful_set
from realtime_operator.builders.redis.trial_pod import build_redis_trial_pod
from tests.kit.document import object_at
from tests.kit.manifests import SETTINGS, cluster_of, with_redis_password


def test_it_is_the_wanted_pod_behind_no_service() -> None:
    """Webhooks and network policies treat it alike; no selector of the cluster finds it."""
    pod: JsonObject = {"labels": {"team": "data"}, "annotations": {"sidecar.istio.io/inject": "false"}}
    cluster = cluster_of({"backplane": {"redis": {"managed": {"pod": pod}}}})
    stateful_set = build_redis_stateful_set(cluster, SETTINGS, with_redis_password(cluster))
    assert stateful_set is not None
    trial = build_redis_trial_pod(stateful_set)
    assert trial["spec"] == object_at(stateful_set, "spec", "template", "spec")
    labels = object_at(trial, "metadata", "labels")
    assert (labels["team"], labels[naming.LABEL_COMPONENT]) == ("data", naming.COMPONENT_REDIS_TRIAL)
    assert object_at(trial, "metadata", "annotations")["sidecar.istio.io/inject"] == "false"
