"""The life of the process: lead, watch, reconcile, answer to probes, and end cleanly."""

from __future__ import annotations

import asyncio
import signal
from importlib.metadata import version

import structlog

from realtime_operator import naming
from realtime_operator.builders import BuildSettings
from realtime_operator.errors import LeaseLostError
from realtime_operator.handlers import probes
from realtime_operator.handlers.eviction_webhook import EvictionWebhook, Reviewer
from realtime_operator.handlers.watching import Watcher
from realtime_operator.metrics import Metrics
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.platforms.kubernetes.client import KubernetesClient
from realtime_operator.platforms.kubernetes.driver import KubernetesPlatform
from realtime_operator.platforms.kubernetes.evictions import Evictions
from realtime_operator.platforms.kubernetes.lease import LeaderElectionSettings, Lease
from realtime_operator.platforms.kubernetes.secret_reader import REFRESH_SECONDS
from realtime_operator.platforms.kubernetes.webhook_access import WebhookAccess
from realtime_operator.pods.admin_client import AdminClient
from realtime_operator.reconciling.cluster import ClusterReconciler
from realtime_operator.reconciling.work_queue import WorkQueue
from realtime_operator.settings import Settings

logger = structlog.get_logger()

SECRET_RESYNCS = 1.5
"""Number of resyncs after which Secrets are read again, so that a short resync shortens that interval too."""


def planner_settings(settings: Settings) -> PlannerSettings:
    """Return the planner's part of the operator's settings."""
    build = BuildSettings(
        server_image=settings.server_image,
        redis_image=settings.redis_image,
        server_image_pull_policy=settings.server_image_pull_policy,
        image_pull_secrets=settings.pull_secrets,
        operator_version=version("realtime-operator"),
        operator_namespace=settings.namespace,
    )
    return PlannerSettings(
        build, poll_seconds=settings.poll_seconds, max_concurrent_rollouts=settings.rollouts_max_concurrent
    )


def leader_election_settings(settings: Settings) -> LeaderElectionSettings:
    """Return the part of the operator's settings for leader election."""
    return LeaderElectionSettings(
        namespace=settings.lease_namespace,
        name=settings.lease_name,
        identity=settings.identity,
        duration=settings.lease_duration_seconds,
        renew_deadline=settings.lease_renew_seconds,
        retry=settings.lease_retry_seconds,
    )


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (returns 0), or until the lease is lost (returns 1).

    Raises OperatorError when it cannot go on.
    """
    metrics = Metrics()
    client = await KubernetesClient.connect(metrics)
    try:
        process = OperatorProcess(settings, client, metrics)
        process.own_signals()
        admin = AdminClient()
        access = WebhookAccess(client, settings.webhook_name, settings.namespace)
        webhook = EvictionWebhook(access, Reviewer(Evictions(client, admin, process.moves_nothing), metrics))

        def not_ready() -> str | None:
            return process.not_ready() or webhook.not_ready()

        http = await probes.serve(settings.http_port, metrics, process.not_alive, not_ready)
        try:
            if settings.webhook_name:
                await webhook.start(settings.webhook_port)
            code = await process.run()
            if code == 0:
                await webhook.leave(settings.webhook_leave_seconds)
            return code
        finally:
            await webhook.stop()
            await admin.close()
            await http.cleanup()
    finally:
        await client.close()


class OperatorProcess:
    """One operator process: waits for the lease, reconciles while it leads, ends when the lease is lost."""

    def __init__(self, settings: Settings, client: KubernetesClient, metrics: Metrics) -> None:
        self._settings = settings
        self._client = client
        self._metrics = metrics
        self._lease = Lease(client, leader_election_settings(settings), self._on_pause)
        self._queue: WorkQueue | None = None
        self._stop = asyncio.Event()
        self._watcher: Watcher | None = None
        self._leading = False

    def own_signals(self) -> None:
        """Install handlers of SIGTERM and SIGINT that end this process cleanly."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def not_alive(self) -> str | None:
        """Return why the process must be restarted: it believes to lead and cannot renew its lease."""
        return "leads without a lease" if self._leading and not self._lease.leads else None

    def paused(self) -> str | None:
        """Return why the operator moves nothing, in a sentence for people; None when it does its work."""
        if self._settings.paused:
            return "the operator is paused by its settings (chart value `paused`)"
        if self._lease.paused is not None:
            name = f"{self._settings.lease_namespace}/{self._settings.lease_name}"
            annotation = f"annotation {naming.ANNOTATION_PAUSED} of Lease {name}"
            return f"the operator is paused by the {annotation}: {self._lease.paused}"
        return None

    def moves_nothing(self) -> str | None:
        """Return why no process of the operator moves connections now, as far as this one knows; None when one does.

        A process that was stopped does not read the Lease any more, and expects its successor to lead.
        """
        return self.paused() or (None if self._lease.is_led or self._stop.is_set() else "no operator leads")

    def _on_pause(self) -> None:
        if self._queue is not None:
            self._queue.mark_all()

    def not_ready(self) -> str | None:
        """Return why the process does not do its part: to stand by, or to lead and watch."""
        if self._stop.is_set():
            return "it was stopped"
        if self._lease.foreign:
            return f"the Lease {self._settings.lease_name} belongs to another program"
        if self._leading:
            return "is not watching yet" if self._watcher is None else self._watcher.obstacle
        return None if self._lease.is_fresh else "cannot read its lease"

    async def run(self) -> int:
        """Wait for the lease, then lead, until stopped (returns 0) or until the lease is lost (returns 1)."""
        acquiring = asyncio.create_task(self._lease.acquire(), name="lease-acquire")
        try:
            if not await self._first(acquiring):
                return 0
            acquiring.result()
            return await self._lead()
        finally:
            await _end(acquiring)
            await self._lease.release()

    async def _lead(self) -> int:
        self._leading = True
        self._metrics.leader.set(1)
        holding = asyncio.create_task(self._lease.hold(), name="lease-hold")
        working = asyncio.create_task(self._work(), name="work")
        try:
            await self._first(holding, working)
            if holding.done():
                # Another process may lead already: nothing may be written any more.
                working.cancel()
                holding.result()
            if working.done():
                working.result()
        except LeaseLostError as error:
            logger.error("lease lost, the operator stops", error=str(error))  # noqa: TRY400 - expected: no traceback
            return 1
        else:
            return 0
        finally:
            self._leading = False
            self._metrics.leader.set(0)
            # Writes need the lease, so the work ends before the lease is given up.
            await _end(working)
            await _end(holding)

    async def _work(self) -> None:
        """Watch and reconcile until cancelled."""
        admin = AdminClient()
        namespaces = self._settings.namespaces
        secret_seconds = min(REFRESH_SECONDS, SECRET_RESYNCS * self._settings.resync_seconds)
        platform = KubernetesPlatform(self._client, admin, self._metrics, namespaces, secret_seconds)
        reconciler = ClusterReconciler(platform, planner_settings(self._settings), self._metrics, self.paused)
        queue = self._queue = WorkQueue(reconciler.reconcile, self._settings.resync_seconds)
        platform.changed = lambda key, edited: queue.mark(key, edited=edited)
        self._watcher = Watcher(self._client, platform.store, namespaces, platform.stale_since)
        watching = asyncio.create_task(self._watcher.run(self.own_signals), name="watch")
        refreshing = asyncio.create_task(platform.secrets.run(), name="secrets")
        try:
            await asyncio.shield(watching)
        finally:
            self._queue = None
            await queue.close()
            await _end(watching)
            await _end(refreshing)
            await admin.close()

    async def _first(self, *tasks: asyncio.Task[None]) -> bool:
        """Wait for the first of the tasks to end, or for the stop signal; return True when a task ended."""
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return stopping not in done
        finally:
            await _end(stopping)


async def _end(task: asyncio.Task[object]) -> None:
    """Cancel a task and wait for it; its exception is ignored, as it was handled where the result is awaited."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
