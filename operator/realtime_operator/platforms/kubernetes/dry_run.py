"""Validation of the pods that a spec asks for by the API server, before anything is changed for them.

Fields with Kubernetes' own structure (ADR 30) are known to the API server alone. It is asked once for each change of
the spec, by a creation that is not stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from realtime_operator.api.document import object_at, text_at
from realtime_operator.api.errors import Finding, FindingReason
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings, check_pods
from realtime_operator.builders.cluster_pods import PodOwner, made_of_spec, pod_owners
from realtime_operator.builders.manifest import digest
from realtime_operator.builders.pods.paths import PodPaths, parse_parts
from realtime_operator.builders.record import made_of
from realtime_operator.errors import InvalidObjectError, PlatformError, UnreachableError
from realtime_operator.planning.model.world import World
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of

REFUSED_SECONDS = 60.0
"""Seconds for which a refusal is believed: another API server may know a field."""
REMEMBERED = 4096
"""Upper bound of remembered answers."""
_METADATA = frozenset({"name", "namespace", "labels"})
"""Metadata that is sent: a cluster that is planned has no uid, and no object can be owned by it."""
_SETTINGS = BuildSettings(server_image="server", redis_image="redis")
"""Stands for the operator's defaults, which are valid."""


@dataclass(frozen=True, slots=True)
class _Answer:
    findings: tuple[Finding, ...]
    at: float


@dataclass(slots=True)
class DryRun:
    """Asks the API server about pods, and remembers its answers."""

    client: KubernetesClient
    clock: Callable[[], float] = time.monotonic
    _answers: dict[str, _Answer] = field(default_factory=dict)

    async def refused(self, cluster: RealtimeCluster, world: World) -> tuple[Finding, ...]:
        """Return what the API server finds wrong in pods that are not in the world yet; raises UnreachableError.

        Refusals that are not about the fields of the spec, like a quota, are left to the write itself.
        """
        made = {made_of(live) for live in world.objects.values()}
        if made_of_spec(cluster) <= made or check_pods(cluster, _SETTINGS):
            return ()
        findings: list[Finding] = []
        for owner in pod_owners(cluster, _SETTINGS, world.secrets):
            if owner.made_of not in made:
                findings += await self._ask(cluster.metadata.namespace, owner)
        return tuple(findings)

    async def _ask(self, namespace: str, owner: PodOwner) -> tuple[Finding, ...]:
        identity = digest([namespace, owner.manifest])
        known = self._answers.get(identity)
        if known is not None and (not known.findings or self.clock() - known.at < REFUSED_SECONDS):
            return known.findings
        collection = path_of(text_at(owner.manifest, "apiVersion"), text_at(owner.manifest, "kind"), namespace)
        findings: tuple[Finding, ...] = ()
        metadata = {key: value for key, value in object_at(owner.manifest, "metadata").items() if key in _METADATA}
        try:
            await self.client.try_to_create(collection, {**owner.manifest, "metadata": metadata})
        except UnreachableError:
            raise
        except InvalidObjectError as error:
            findings = tuple(_findings(owner, error))
        except PlatformError:
            return ()
        while len(self._answers) >= REMEMBERED:
            del self._answers[next(iter(self._answers))]
        self._answers[identity] = _Answer(findings, self.clock())
        return findings


def _findings(owner: PodOwner, error: InvalidObjectError) -> Iterator[Finding]:
    paths = PodPaths.render(owner.pod.path, owner.pod.base, owner.pod.settings, owner.pod.selector)
    for place, message in dict.fromkeys(error.causes):
        match parse_parts(place):
            case ("spec", "template", ("labels" | "annotations") as name, *rest):  # without `metadata` there
                path, told = paths.of(("metadata", name, *rest)), message
            case ("spec", "template", *rest):
                path = paths.of(tuple(rest))
                told = message if path != owner.pod.path else f"{place}: {message}"
            case _:
                path, told = owner.pod.path, f"{place}: {message}" if place else message
        yield Finding(path, FindingReason.INVALID_FIELD, told)
