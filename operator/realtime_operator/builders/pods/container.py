"""Image and resources of containers: the spec's values over the operator's defaults."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator.api import quantity
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_managed_redis import DEFAULT_MEMORY_LIMIT
from realtime_operator.api.v1alpha1_pod import Image, Resources
from realtime_operator.builders.settings import BuildSettings

Quantities = Mapping[str, int | str]

SERVER_REQUESTS: Quantities = {"cpu": "100m", "memory": "128Mi"}
SERVER_LIMITS: Quantities = {"memory": "512Mi"}
REDIS_REQUESTS: Quantities = {"cpu": "100m", "memory": "128Mi"}
REDIS_LIMITS: Quantities = {"memory": DEFAULT_MEMORY_LIMIT}
"""Defaults. Memory is limited so that a leak ends one pod only; CPU is not, as throttling would delay messages."""


def server_image(image: Image, settings: BuildSettings) -> str:
    """Return the spec's image; the repository or tag that it leaves out comes from the operator's default.

    A digest stands alone, or after the spec's own tag. A default pinned by digest stays pinned unless the spec sets a
    repository or a tag.
    """
    repository, suffix = _split(settings.server_image)
    if image.digest is not None:
        suffix = f"{f':{image.tag}' if image.tag is not None else ''}@{image.digest}"
    elif image.tag is not None:
        suffix = f":{image.tag}"
    elif image.repository is not None and "@" in suffix:
        # a digest names one image in one repository; elsewhere only the tag can be meant
        suffix = suffix.partition("@")[0]
    return f"{image.repository or repository}{suffix}"


def _split(reference: str) -> tuple[str, str]:
    """Split a reference into its repository and its suffix (`:tag`, `@digest`, both or empty).

    A colon before a slash belongs to a port of the registry.
    """
    name, at, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{head}{slash}{last}", f"{colon}{tag}{at}{digest}"


def merge_resources(wanted: Resources, requests: Quantities, limits: Quantities) -> JsonObject:
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
