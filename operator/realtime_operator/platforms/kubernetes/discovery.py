"""Discovery of the kinds that can be watched, among those that are defined by CustomResourceDefinitions.

The API server must serve them, and the operator must have the rights to list and watch them: without one of the two, a
watch would keep the store incomplete, and hold up every cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, objects_at, text_at
from realtime_operator.builders.optional_kinds import OPTIONAL_KINDS, Kind, OptionalKind
from realtime_operator.errors import ForbiddenError, NotFoundError
from realtime_operator.platforms.kubernetes.client import KubernetesClient

CLUSTERS: Kind = (naming.API_VERSION, naming.KIND)
CUSTOM = frozenset({CLUSTERS, *(kind.key for kind in OPTIONAL_KINDS)})
MISSING = f"the API server does not serve {naming.PLURAL}.{naming.GROUP}: install the CRD"
"""Reason for which RealtimeClusters cannot be watched."""
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
TO_WATCH = ("list", "watch")
"""Rights that a watch needs."""
GRANTED_SECONDS = 300.0
"""Seconds for which a right that was granted is not reviewed again. One that is missing is reviewed each time."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """Kinds of `CUSTOM` that can be watched; and served ones that cannot, with the missing rights, for people."""

    kinds: frozenset[Kind] = frozenset()
    withheld: Mapping[Kind, str] = field(default_factory=dict)


class Discovery:
    """Discovery for an operator that watches some namespaces (none given: all)."""

    def __init__(
        self, client: KubernetesClient, namespaces: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._namespaces = tuple(namespaces) or ("",)
        self._clock = clock
        self._granted: dict[tuple[Kind, str, str], float] = {}
        """When a right (kind, namespace, verb) was granted last."""

    async def look(self) -> Discovered:
        """Return what can be watched now; raises PlatformError when the API server does not answer."""
        served = await self._served()
        optional = [kind for kind in OPTIONAL_KINDS if kind.key in served]
        reviews = [(kind, namespace, verb) for kind in optional for namespace in self._namespaces for verb in TO_WATCH]
        allowed = await asyncio.gather(*(self._may(*review) for review in reviews))
        refused: dict[Kind, list[tuple[str, str]]] = {}
        for (kind, namespace, verb), is_allowed in zip(reviews, allowed, strict=True):
            if not is_allowed:
                refused.setdefault(kind.key, []).append((verb, namespace))
        return Discovered(served - set(refused), {kind: _described(rights) for kind, rights in refused.items()})

    async def _served(self) -> frozenset[Kind]:
        """Return the kinds of `CUSTOM` that the API server serves.

        A group counts when it is in the list of all groups too, which comes later than its own and which kopf reads.
        """
        groups = objects_at(await self._client.get("/apis"), "groups")
        listed = {text_at(version, "groupVersion") for group in groups for version in objects_at(group, "versions")}
        found: set[Kind] = set()
        for api_version in sorted(listed & {api_version for api_version, _ in CUSTOM}):
            try:
                resources = objects_at(await self._client.get(f"/apis/{api_version}"), "resources")
            except NotFoundError:
                continue
            found |= {(api_version, text_at(resource, "kind")) for resource in resources}
        return CUSTOM & found

    async def _may(self, kind: OptionalKind, namespace: str, verb: str) -> bool:
        """Return True when the operator has a right, or when it cannot be known; the watch shows it then."""
        now, right = self._clock(), (kind.key, namespace, verb)
        if now - self._granted.get(right, -GRANTED_SECONDS) < GRANTED_SECONDS:
            return True
        attributes: JsonObject = {
            "group": kind.group, "resource": kind.plural, "verb": verb, "namespace": namespace,
        }  # fmt: skip
        review: JsonObject = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        try:
            allowed = dig(await self._client.create(REVIEWS, review), "status", "allowed") is True
        except ForbiddenError:
            allowed = True
        if allowed:
            self._granted[right] = now
        else:
            self._granted.pop(right, None)
        return allowed


def _described(rights: Collection[tuple[str, str]]) -> str:
    """Return verbs and namespaces of missing rights as a text."""
    verbs = " and ".join(verb for verb in TO_WATCH if verb in {verb for verb, _ in rights})
    namespaces = sorted({namespace for _, namespace in rights})
    return f"{verbs} in {'all namespaces' if namespaces == [''] else 'namespace ' + ', '.join(namespaces)}"
