"""The only importer of kopf: it watches, and says which cluster is dirty. No finalizers, no state.

kopf calls every handler with keyword arguments of which each takes what it needs.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Protocol

import kopf

from realtime_operator import naming
from realtime_operator.errors import OperatorError
from realtime_operator.platforms.base import Key

CHILDREN = (
    ("", "v1", "pods"),
    ("", "v1", "services"),
    ("", "v1", "configmaps"),
    ("", "v1", "secrets"),
    ("", "v1", "serviceaccounts"),
    ("apps", "v1", "replicasets"),
    ("apps", "v1", "statefulsets"),
    ("policy", "v1", "poddisruptionbudgets"),
)
"""Group, version and plural of what clusters own."""

STOP_SECONDS = 2.0
"""How long kopf may take to end."""


class Marker(Protocol):
    """What is told that a cluster is dirty."""

    def mark(self, key: Key, *, edited: bool = False) -> None:
        """The cluster has changed, or may have; `edited`: its spec, by a person."""


class ApiServer(kopf.ConnectionInfo):
    """How kopf reaches the API server."""

    def as_ssl_context(self) -> ssl.SSLContext:
        """Check certificates as kubectl does, without the key identifiers that Python asks for from 3.13 on.

        Authorities of clusters that are some years old have none.
        """
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def log_in(settings: kopf.OperatorSettings, **_: object) -> ApiServer | None:
    """Use the pod's service account, or the KUBECONFIG of a person; None when there is neither."""
    found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    return None if found is None else ApiServer(**{one.name: getattr(found, one.name) for one in fields(found)})


def make_registry(marker: Marker) -> kopf.OperatorRegistry:
    """Handlers for clusters and for what they own."""
    registry = kopf.OperatorRegistry()
    generations: dict[Key, object] = {}

    async def on_cluster(
        type: str | None,  # noqa: A002 - kopf's name
        name: str | None,
        namespace: str | None,
        meta: Mapping[str, object],
        **_: object,
    ) -> None:
        key = Key(str(namespace), str(name))
        seen = (meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp"))
        # A write of the status is no news: it was this operator that wrote it.
        if type == "DELETED":
            generations.pop(key, None)
        elif generations.get(key) == seen:
            return
        else:
            generations[key] = seen
        marker.mark(key, edited=True)

    async def on_child(namespace: str | None, labels: Mapping[str, str], **_: object) -> None:
        marker.mark(Key(str(namespace), labels[naming.LABEL_CLUSTER]))

    kopf.on.login(registry=registry, id="login")(log_in)
    kopf.on.event(naming.GROUP, naming.VERSION, naming.PLURAL, registry=registry, id="cluster")(on_cluster)
    for group, version, plural in CHILDREN:
        watch = kopf.on.event(
            group, version, plural, labels={naming.LABEL_CLUSTER: kopf.PRESENT}, registry=registry, id=f"child-{plural}"
        )
        watch(on_child)
    return registry


def make_settings() -> kopf.OperatorSettings:
    """Kopf writes nothing, and asks for nothing outside of the watched namespaces."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.networking.request_timeout = 30
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.reconnect_backoff = 1
    return settings


async def watch(
    marker: Marker, namespaces: tuple[str, ...], ready: asyncio.Event, started: Callable[[], None] = lambda: None
) -> None:
    """Watch until cancelled; raises OperatorError when kopf ends by itself.

    Sets `ready` when the watches are about to begin. `started` is called as soon as kopf has taken the signals SIGTERM
    and SIGINT for itself, to take them back.
    """
    # kopf.operator() would in the end cancel every task that is younger than itself, and wait 5 s before: the workers,
    # the lease, the probes. Its root tasks alone are all that it needs.
    tasks = await kopf.spawn_tasks(
        # Without one kopf would look up the user's name, which the id of a container's user does not have.
        identity="realtime-operator",  # type: ignore[arg-type] # a NewType of str that kopf does not export
        registry=make_registry(marker),
        settings=make_settings(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        ready_flag=ready,
    )
    started()
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        raise OperatorError(f"watching has ended: {_reason(ended)}")
    finally:
        ready.clear()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_SECONDS)


def _reason(tasks: Iterable[asyncio.Task[object]]) -> str:
    failures = [task.exception() for task in tasks if not task.cancelled()]
    return ", ".join(f"{type(error).__name__}: {error}" for error in failures if error is not None) or "no reason given"
