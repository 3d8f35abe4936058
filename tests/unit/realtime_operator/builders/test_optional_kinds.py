"""Tests of the kinds that a cluster may not serve."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.optional_kinds import OPTIONAL_KINDS, is_served, missing_kinds
from realtime_operator.platforms.kubernetes.client import PLURALS
from realtime_operator.platforms.kubernetes.permissions import CLUSTERS, READ, WRITE

ROUTE: JsonObject = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
SERVICE: JsonObject = {"apiVersion": "v1", "kind": "Service"}
ROUTES = frozenset({("gateway.networking.k8s.io/v1", "HTTPRoute"), ("gateway.networking.k8s.io/v1", "TLSRoute")})


def test_a_manifest_is_served_unless_its_kind_is_missing() -> None:
    assert is_served(ROUTE, frozenset())
    assert not is_served(ROUTE, ROUTES)
    assert is_served(SERVICE, ROUTES)


def test_kinds_that_are_wanted_and_not_served_are_missing() -> None:
    """A kind that nothing asks for is not reported."""
    assert missing_kinds((SERVICE,), ROUTES, {}) == ()
    assert missing_kinds((SERVICE, ROUTE), frozenset(), {}) == ()
    assert len(missing_kinds((SERVICE, ROUTE), ROUTES, {})) == 1


def test_the_message_names_the_field_and_the_crd() -> None:
    (missing,) = missing_kinds((ROUTE,), ROUTES, {})
    assert missing == (
        "spec.endpoint.gateway needs a HTTPRoute in version v1, which this Kubernetes does not serve: install the CRD "
        "httproutes.gateway.networking.k8s.io (Gateway API 1.0 or later), or remove the field"
    )


def test_the_message_names_the_rights_that_lack() -> None:
    """The CRD is installed then, so that installing it would be no advice."""
    lacking = dict.fromkeys(ROUTES, "watch in namespace a, b")
    (missing,) = missing_kinds((ROUTE,), ROUTES, lacking)
    assert missing == (
        "spec.endpoint.gateway needs a HTTPRoute, which the operator has no right to watch in namespace a, b: give its "
        "role all verbs that the chart's has for httproutes.gateway.networking.k8s.io, or remove the field"
    )


def test_every_kind_can_be_watched_and_written() -> None:
    """It has a path and a permission."""
    granted = {(p.group, resource): p.verbs for p in CLUSTERS for resource in p.resources}
    for kind in OPTIONAL_KINDS:
        assert PLURALS[kind.key] == kind.plural
        assert granted[kind.api_version.partition("/")[0], kind.plural] == (*READ, *WRITE)
