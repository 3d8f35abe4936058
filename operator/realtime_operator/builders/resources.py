"""Resources of containers: what the spec says over the operator's defaults."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator.api import quantity
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_pod import Resources

Quantities = Mapping[str, int | str]

SERVER_REQUESTS: Quantities = {"cpu": "100m", "memory": "128Mi"}
SERVER_LIMITS: Quantities = {"memory": "512Mi"}
REDIS_REQUESTS: Quantities = {"cpu": "100m", "memory": "128Mi"}
REDIS_LIMITS: Quantities = {"memory": "256Mi"}
"""Memory is limited so that a leak ends one pod and not its neighbours; CPU is not, throttling would delay messages."""


def merge(wanted: Resources, requests: Quantities, limits: Quantities) -> JsonObject:
    """The resources of a container, in canonical form.

    Where the spec sets only one side of a pair, the default of the other gives way to it: a limit below the default
    request lowers the request, a request above the default limit raises the limit.
    """
    merged_requests = {**requests, **wanted.requests}
    merged_limits = {**limits, **wanted.limits}
    for name in merged_requests.keys() & merged_limits.keys():
        if quantity.parse(merged_requests[name]) > quantity.parse(merged_limits[name]):
            if name in wanted.limits:
                merged_requests[name] = merged_limits[name]
            else:
                merged_limits[name] = merged_requests[name]
    return {"requests": _canonical(merged_requests), "limits": _canonical(merged_limits)}


def _canonical(quantities: Quantities) -> JsonObject:
    return {name: quantity.canonical(value) for name, value in sorted(quantities.items())}
