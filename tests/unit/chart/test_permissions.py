"""The chart asks for what the operator says that it needs, no more and no less."""

from __future__ import annotations

from realtime_operator.platforms.kubernetes.permissions import CLUSTERS, LEADER_ELECTION, WEBHOOK
from tests.kit.chart import chart_file


def test_the_chart_grants_what_the_operator_lists() -> None:
    """All scopes, rule by rule."""
    granted = chart_file("files/permissions.yaml")
    assert granted["clusters"] == [permission.rule() for permission in CLUSTERS]
    assert granted["leaderElection"] == [permission.rule() for permission in LEADER_ELECTION]
    assert granted["webhook"] == [permission.rule() for permission in WEBHOOK]


def test_nothing_is_a_wildcard() -> None:
    """Least privilege: every group, resource and verb is named."""
    words = {word for p in (*CLUSTERS, *LEADER_ELECTION, *WEBHOOK) for word in (p.group, *p.resources, *p.verbs)}
    assert not any("*" in word for word in words)
