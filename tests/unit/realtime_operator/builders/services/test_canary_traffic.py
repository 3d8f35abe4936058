"""Tests of the objects that divide new connections between two revisions."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.builders import BuildSettings, CanaryTraffic, build_shared, with_canary_traffic
from realtime_operator.planning.model.world import object_key
from tests.kit.document import dig
from tests.kit.manifests import cluster_of

SETTINGS = BuildSettings(server_image="localhost/server:1", redis_image="localhost/redis:1")
SPEC: JsonObject = {
    "endpoint": {"gateway": {"parentRefs": [{"name": "public"}]}},
    "commonMetadata": {"labels": {"team": "chat"}},
}


def test_the_services_come_before_the_route_that_names_them() -> None:
    """Both have the labels of all objects, and so has the route."""
    cluster = cluster_of(SPEC)
    shared = build_shared(cluster, SETTINGS, {})
    found = with_canary_traffic(cluster, shared, CanaryTraffic("old", "new", 10))
    assert [object_key(manifest).name for manifest in found[:2]] == ["chat-current", "chat-canary"]
    assert [object_key(manifest) for manifest in found[2:]] == [object_key(manifest) for manifest in shared]
    route = next(manifest for manifest in found if manifest["kind"] == "HTTPRoute")
    assert [dig(each, "metadata", "labels", "team") for each in (*found[:2], route)] == ["chat"] * 3
    assert dig(route, "spec", "rules", 0, "backendRefs") == [
        {"name": "chat-current", "port": 8000, "weight": 90},
        {"name": "chat-canary", "port": 8000, "weight": 10},
    ]


def test_no_route_is_added() -> None:
    """Where HTTPRoutes are not served, there is none among the shared objects."""
    cluster = cluster_of(SPEC)
    shared = [manifest for manifest in build_shared(cluster, SETTINGS, {}) if manifest["kind"] != "HTTPRoute"]
    found = with_canary_traffic(cluster, shared, CanaryTraffic("old", "new", 10))
    assert "HTTPRoute" not in {manifest["kind"] for manifest in found}
