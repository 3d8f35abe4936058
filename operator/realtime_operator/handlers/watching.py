"""List and watch through kopf, into the store; the only module that imports kopf. No finalizers, no kopf state.

kopf calls every handler with keyword arguments, of which a handler names those that it needs.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import cast

import kopf
import structlog

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.optional_kinds import Kind
from realtime_operator.errors import OperatorError, PlatformError
from realtime_operator.platforms.kubernetes.client import PLURALS, KubernetesClient
from realtime_operator.platforms.kubernetes.discovery import CLUSTERS, MISSING, Discovered, Discovery
from realtime_operator.platforms.kubernetes.driver import parts_of
from realtime_operator.platforms.kubernetes.store import ObjectStore
from realtime_operator.platforms.kubernetes.watch_session import WatchSession

logger = structlog.get_logger()

PAGE = 250
"""Objects per page of a list."""
STOP_SECONDS = 2.0
"""Time for kopf to end."""
POLL_SECONDS = 1.0
"""Seconds between two checks: for a kind that is not served yet, and of the health of the watches."""
DISCOVERY_SECONDS = 20.0
"""Seconds between two looks for optional kinds that are served since, or no more."""
COMPLETE_SECONDS = 30.0
"""Seconds that the first lists may take before watching starts anew."""
RETRY_SECONDS = (0.5, 1.0, 2.0, 3.0, 5.0)
"""Pauses in seconds before a failed request is retried; the last one is repeated."""


class _Pauses:
    """An endless iterable of pauses: after a finite one kopf would end the whole operator."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(RETRY_SECONDS, itertools.repeat(RETRY_SECONDS[-1]))


def make_registry(store: ObjectStore, session: WatchSession) -> kopf.OperatorRegistry:
    """Return a registry with handlers that put every object into the store, and a login with the operator's client."""
    registry = kopf.OperatorRegistry()

    async def on_event(event: kopf.RawEvent, **_: object) -> None:
        document = cast("JsonObject", event["object"])
        if event["type"] == "DELETED":
            store.gone(document)
        else:
            store.put(document)

    async def on_login(**_: object) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=session.server, aiohttp_session=session.open())

    kopf.on.login(registry=registry, id="login")(on_login)
    for group, version, plural in _resources(store.kinds()):
        kopf.on.event(group, version, plural, registry=registry, id=plural)(on_event)
    return registry


def make_settings(kinds: Iterable[Kind]) -> kopf.OperatorSettings:
    """Return settings with which kopf writes nothing and lists only watched namespaces and labelled objects."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = _Pauses()
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.reconnect_backoff = 1
    settings.watching.chunk_size = PAGE
    for group, version, plural in _resources(kinds):
        if group != naming.GROUP:
            settings.watching.label_selectors[group, version, plural] = naming.LABEL_CLUSTER
    return settings


def _resources(kinds: Iterable[Kind]) -> list[tuple[str, str, str]]:
    """Return group, version and plural of each kind."""
    found = []
    for api_version, kind in sorted(kinds):
        group, _, version = api_version.rpartition("/")
        found.append((group, version, PLURALS[api_version, kind]))
    return found


class Watcher:
    """Keeps the store up to date with watches.

    `obstacle` is the reason why the store is not complete, None when it is. `check` is called every second and notes
    how fresh the store is. Optional kinds are watched while they are served, which is checked every
    `discovery_seconds`.
    """

    def __init__(
        self,
        client: KubernetesClient,
        store: ObjectStore,
        namespaces: tuple[str, ...],
        check: Callable[[], object] = lambda: None,
        discovery_seconds: float = DISCOVERY_SECONDS,
    ) -> None:
        self._check = check
        self._discovery_seconds = discovery_seconds
        self._client = client
        self._store = store
        self._namespaces = namespaces
        self._discovery = Discovery(client, namespaces)
        self.obstacle: str | None = "is not watching yet"

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Watch until cancelled; raises OperatorError when kopf ends by itself.

        Waits while the CRD is not installed, at the start and after a deletion. `started` is called whenever kopf has
        installed its own handlers of SIGTERM and SIGINT, to install the operator's again.
        """
        try:
            while True:
                found = await self._wait_until_served()
                reason = await self._watch(started, found)
                self.obstacle = reason
                logger.warning("watching starts again", reason=reason)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self.obstacle = "is not watching"

    async def _wait_until_served(self) -> Discovered:
        """Return what can be watched as soon as RealtimeClusters can."""
        logged = None
        while True:
            try:
                found = await self._discovery.look()
                reason = MISSING
            except PlatformError as error:
                found, reason = Discovered(), str(error)
            if CLUSTERS in found.kinds:
                if logged is not None:
                    logger.info("the API server serves RealtimeClusters, continuing")
                return found
            self.obstacle = reason
            if reason != logged:
                logged = reason
                logger.warning("waiting for the API server", reason=reason)
            await asyncio.sleep(POLL_SECONDS)

    async def _watch(self, started: Callable[[], None], found: Discovered) -> str:
        """Watch until watching has to start anew; return the reason."""
        for (_, kind), rights in found.withheld.items():
            logger.warning("the operator may not watch a kind, so that clusters do not get it", kind=kind, lacks=rights)
        self._store.watch(parts_of(self._namespaces, found.kinds), found.withheld)
        self._store.restart()
        restart: asyncio.Queue[str] = asyncio.Queue()
        session = WatchSession(self._client, self._store, restart.put_nowait)
        # At its end kopf.operator() would wait 5 s and cancel every task that is younger than itself: the
        # workers, the lease, the probes. Its root tasks alone are enough.
        tasks = await kopf.spawn_tasks(
            # Without an identity kopf looks up the user's name, which a container's user id does not have.
            identity="realtime-operator",  # type: ignore[arg-type] # a NewType of str that kopf does not export
            registry=make_registry(self._store, session),
            settings=make_settings(self._store.kinds()),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=list(self._namespaces),
        )
        discovery = asyncio.create_task(self._notice_kinds(found, restart), name="discovery")
        started()
        try:
            return await self._follow(tasks, restart)
        finally:
            for task in (discovery, *tasks):
                task.cancel()
            await asyncio.wait((discovery, *tasks), timeout=STOP_SECONDS)

    async def _notice_kinds(self, known: Discovered, restart: asyncio.Queue[str]) -> None:
        """Wait until other kinds than `known` can be watched, and start watching anew then."""
        while True:
            await asyncio.sleep(self._discovery_seconds)
            try:
                found = await self._discovery.look()
            except PlatformError:
                continue  # the watches notice it too
            if found != known:
                difference = _difference(known.kinds, found.kinds) or "other rights are missing"
                restart.put_nowait(f"other kinds can be watched: {difference}")
                return

    async def _follow(self, tasks: Iterable[asyncio.Task[object]], restart: asyncio.Queue[str]) -> str:
        """Supervise kopf's tasks and the watches; return the reason to start anew.

        Raises OperatorError when kopf ends.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + COMPLETE_SECONDS
        restarting = asyncio.ensure_future(restart.get())
        try:
            while True:
                await asyncio.wait({*tasks, restarting}, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if restarting.done():
                    return restarting.result()
                ended = [task for task in tasks if task.done()]
                if ended:
                    raise OperatorError(f"watching has ended: {_reason(ended)}")
                self._check()
                missing = ", ".join(map(str, self._store.missing()))
                self.obstacle = f"has not listed yet: {missing}" if missing else None
                if missing and loop.time() > deadline:
                    return f"not listed within {COMPLETE_SECONDS:g} s: {missing}"
        finally:
            restarting.cancel()


def _difference(known: Collection[Kind], served: Collection[Kind]) -> str:
    added = [f"+{kind}" for api_version, kind in sorted(served) if (api_version, kind) not in known]
    removed = [f"-{kind}" for api_version, kind in sorted(known) if (api_version, kind) not in served]
    return ", ".join((*added, *removed))


def _reason(tasks: Iterable[asyncio.Task[object]]) -> str:
    failures = [task.exception() for task in tasks if not task.cancelled()]
    return ", ".join(f"{type(error).__name__}: {error}" for error in failures if error is not None) or "no reason given"
