"""Tests of the families of addresses that an existing Service contradicts."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonValue
from realtime_operator.planning.model.plan import ApplyObject
from realtime_operator.planning.model.world import ObjectKey
from tests.kit.document import dig, object_at
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform
from tests.unit.realtime_operator.planning.redis.test_volumes import accepted
from tests.unit.realtime_operator.planning.test_reconcile import settled

SERVICE = ObjectKey("v1", "Service", "main")


def with_service(*families: JsonValue) -> MemoryPlatform:
    """Return a settled cluster whose Service has got these families from the API server."""
    platform = settled()
    spec = object_at(platform.objects[SERVICE], "spec")
    platform.objects[SERVICE] = {
        **platform.objects[SERVICE],
        "spec": {**spec, "ipFamilies": [*families], "clusterIP": "10.0.0.7"},
    }
    return platform


@pytest.mark.parametrize("wanted", [[], ["IPv4"], ["IPv4", "IPv6"]])
def test_the_first_family_stays(wanted: list[JsonValue]) -> None:
    """A second one can come and go."""
    platform = with_service("IPv4", "IPv6")
    platform.change(endpoint={"service": {"ipFamilies": wanted, "type": "NodePort"}})
    platform.reconcile()
    assert accepted(platform) == "the spec is valid"
    assert dig(platform.objects[SERVICE], "spec", "type") == "NodePort"


@pytest.mark.parametrize("wanted", [["IPv6"], ["IPv6", "IPv4"]])
def test_another_first_family_is_refused_before_it_is_tried(wanted: list[JsonValue]) -> None:
    """The message says what to do; nothing is written until then, and the deleted Service is made anew."""
    platform = with_service("IPv4")
    platform.change(endpoint={"service": {"ipFamilies": wanted}})
    assert not any(isinstance(action, ApplyObject) for action in platform.reconcile().actions)
    assert accepted(platform).startswith(
        "spec.endpoint.service.ipFamilies: the first family of Service main is IPv4 and cannot be changed: begin with "
        "IPv4, or delete the Service, which loses its address 10.0.0.7"
    )
    del platform.objects[SERVICE]
    platform.reconcile()
    assert dig(platform.objects[SERVICE], "spec", "ipFamilies") == wanted


def test_a_service_of_somebody_else_is_another_matter() -> None:
    """It is told as such."""
    platform = with_service("IPv4")
    live = platform.objects[SERVICE]
    platform.objects[SERVICE] = {**live, "metadata": {**object_at(live, "metadata"), "ownerReferences": []}}
    platform.change(endpoint={"service": {"ipFamilies": ["IPv6"]}})
    platform.reconcile()
    assert accepted(platform) == "the spec is valid"
