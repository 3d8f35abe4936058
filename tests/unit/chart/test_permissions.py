"""The chart gives the operator exactly the permissions that its code asks for."""

from __future__ import annotations

import pytest

from realtime_operator.platforms.kubernetes.permissions import CLUSTERS, LEADER_ELECTION, Permission
from tests.kit.chart import chart_file

SCOPES = {"clusters": CLUSTERS, "leaderElection": LEADER_ELECTION}


@pytest.mark.parametrize(("scope", "permissions"), SCOPES.items())
def test_rules_are_those_of_the_code(scope: str, permissions: tuple[Permission, ...]) -> None:
    """The rules of a scope are those that the operator's code lists, in the same order."""
    assert chart_file("files/permissions.yaml")[scope] == [permission.rule() for permission in permissions]


def test_there_is_no_other_scope() -> None:
    """No rule is in the chart's file that no code asks for."""
    assert set(chart_file("files/permissions.yaml")) == set(SCOPES)


@pytest.mark.parametrize("permission", [*CLUSTERS, *LEADER_ELECTION], ids=lambda permission: permission.reason)
def test_every_permission_is_narrow_and_has_a_reason(permission: Permission) -> None:
    """No wildcard, and a reason beside each rule."""
    assert "*" not in (permission.group, *permission.resources, *permission.verbs)
    assert permission.reason
