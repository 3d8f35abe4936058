"""Resources over defaults."""

from __future__ import annotations

import pytest

from realtime_operator.api.v1alpha1_pod import Resources
from realtime_operator.builders.resources import SERVER_LIMITS, SERVER_REQUESTS, merge

Quantities = dict[str, int | str]


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}),
        (
            {"cpu": "0.5"},
            {"cpu": 2},
            {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        ),
        ({}, {"memory": "64Mi"}, {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}),
        ({"memory": "1024Mi"}, {}, {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}),
    ],
)
def test_defaults_give_way(requests: Quantities, limits: Quantities, expected: dict[str, Quantities]) -> None:
    """A request is never above its limit, whichever of the two the spec sets; all are in canonical form."""
    assert merge(Resources(requests=requests, limits=limits), SERVER_REQUESTS, SERVER_LIMITS) == expected
