"""The life of the process: lead, watch, reconcile, answer to probes, and end cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from realtime_operator.builders import BuildSettings
from realtime_operator.errors import LeaseLostError, OperatorError
from realtime_operator.handlers.cluster import ClusterReconciler
from realtime_operator.handlers.watching import watch
from realtime_operator.handlers.work_queue import WorkQueue
from realtime_operator.metrics import Metrics
from realtime_operator.planning.settings import PlanSettings
from realtime_operator.platforms.kubernetes.client import KubernetesClient
from realtime_operator.platforms.kubernetes.driver import KubernetesPlatform
from realtime_operator.platforms.kubernetes.lease import Lease, LeaseSettings
from realtime_operator.pods.admin_client import AdminClient
from realtime_operator.settings import Settings

logger = structlog.get_logger()

STOP_SECONDS = 5.0


def plan_settings(settings: Settings) -> PlanSettings:
    """What the decisions are told."""
    build = BuildSettings(
        server_image=settings.server_image,
        redis_image=settings.redis_image,
        server_image_pull_policy=settings.server_image_pull_policy,
    )
    return PlanSettings(build, poll_seconds=settings.poll_seconds)


async def serve_http(settings: Settings, metrics: Metrics) -> web.AppRunner:
    """`/healthz` and `/readyz` answer while the event loop does; a process that loses its lease ends by itself."""

    async def healthy(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def exposition(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), content_type="text/plain", charset="utf-8")

    application = web.Application()
    application.router.add_get("/healthz", healthy)
    application.router.add_get("/readyz", healthy)
    application.router.add_get("/metrics", exposition)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, port=settings.http_port, shutdown_timeout=1).start()
    return runner


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (0), or until the lease is lost (1)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    http = await serve_http(settings, metrics)
    client = await KubernetesClient.connect(metrics)
    try:
        return await _lead(settings, client, metrics, stop)
    finally:
        await client.close()
        await http.cleanup()


async def _lead(settings: Settings, client: KubernetesClient, metrics: Metrics, stop: asyncio.Event) -> int:
    lease = Lease(
        client,
        LeaseSettings(
            settings.lease_namespace,
            settings.lease_name,
            settings.identity,
            settings.lease_duration_seconds,
            settings.lease_renew_seconds,
            settings.lease_retry_seconds,
        ),
    )
    if not await _until(stop, asyncio.create_task(lease.acquire(), name="lease-acquire")):
        return 0
    metrics.leader.set(1)
    holding = asyncio.create_task(lease.hold(), name="lease-hold")
    working = asyncio.create_task(_work(settings, client, metrics, stop), name="work")
    try:
        await asyncio.wait({holding, working}, return_when=asyncio.FIRST_COMPLETED)
        if holding.done():
            # Another one may lead already: nothing more may be written, not even to clean up.
            with contextlib.suppress(LeaseLostError):
                holding.result()
            logger.error("lease lost, ending")
            return 1
        working.result()
        return 0
    finally:
        metrics.leader.set(0)
        for task in (working, holding):
            task.cancel()
        await asyncio.gather(working, holding, return_exceptions=True)
        await lease.release()


async def _until(stop: asyncio.Event, task: asyncio.Task[None]) -> bool:
    """Wait for a task, or for `stop`; whether the task came first."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    return False


async def _work(settings: Settings, client: KubernetesClient, metrics: Metrics, stop: asyncio.Event) -> None:
    admin = AdminClient()
    platform = KubernetesPlatform(client, admin, metrics)
    reconciler = ClusterReconciler(platform, plan_settings(settings), metrics)
    queue = WorkQueue(reconciler.turn, settings.resync_seconds)
    ready = asyncio.Event()
    watching = asyncio.create_task(watch(queue, settings.namespaces, ready, stop), name="watch")
    try:
        await watching
        if not stop.is_set():
            raise OperatorError("watching has ended by itself")
    finally:
        await queue.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        await admin.close()
