"""A server process of the local platform: the counterpart of a pod."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from realtime_operator import naming
from realtime_operator.planning.model.world import AdminAccess, Server, ServerState
from realtime_operator.platforms.local.process import Process
from realtime_operator.pods.admin_client import AdminClient, ServerUnavailableError

COMMAND = (sys.executable, "-P", "-m", "realtime_server", "run")
CRASHED = "CrashLoopBackOff"
"""Waiting reason of a server that has ended by itself and is not restarted yet, as the kubelet names it."""
STARTING = "ContainerCreating"


@dataclass(slots=True)
class LocalServer:
    """A server process and its state as a pod has it. `retry_at` is set when it ended by itself, to replace it.

    `variables` are the variables of the pod's container that have a value in its template.
    """

    name: str
    cluster: str
    revision: str
    replica_set: str
    process: Process
    admin_socket: Path
    created_at: datetime
    variables: Mapping[str, str] = field(default_factory=dict)
    serving: bool = True
    terminating: bool = False
    quiesced_at: datetime | None = None
    deletion_cost: int = 0
    drain_requested: bool = False
    answered: bool = False
    ready_since: datetime | None = None
    unready_since: datetime | None = None
    was_ready: bool = False
    retry_at: float | None = None
    """Time of the replacement in monotonic seconds."""

    @property
    def crashed(self) -> bool:
        """True when the process has ended without a request to."""
        return not self.process.running and not self.process.asked_to_end

    async def start(self, command: Sequence[str], config: Path, temporary: Path) -> None:
        """Start the process; raises PlatformError."""
        await self.process.start(command, self._environment(config, temporary))

    def _environment(self, config: Path, temporary: Path) -> Mapping[str, str]:
        return {
            **os.environ,
            **self.variables,
            naming.ENV_CONFIG: str(config),
            naming.ENV_SERVER_NAME: self.name,
            naming.ENV_REVISION: self.revision,
            "TMPDIR": str(temporary),
            "LOG_FORMAT": "text",
        }

    def quiesce(self) -> None:
        """Mark the server as not serving."""
        self.serving = False
        self.quiesced_at = datetime.now(UTC)

    def resume(self) -> None:
        """Mark the server as serving."""
        self.serving = True
        self.quiesced_at = None

    def stop(self) -> None:
        """Ask the process to drain and end; repeated calls have no effect."""
        if not self.terminating:
            self.terminating = True
            self.process.terminate()

    async def observe(self, admin: AdminClient, token: str) -> Server:
        """Return the server in the planner's model; a quiesce that has not reached the server is repeated.

        Readiness is read before the report, so that it is never newer, as on Kubernetes: a server that was ready and
        then reports no Redis has lost the link. In the opposite order it might have just gained it.
        """
        address = str(self.admin_socket)
        ready = self.process.running and await admin.is_ready(address, token)
        report = await admin.report(address, token) if self.process.running else None
        if report is not None and not self.serving and report.state is ServerState.SERVING:
            await _call_if_reachable(admin.quiesce, address, token)
        self.answered = self.answered or report is not None
        ready = ready and report is not None
        self.was_ready = self.was_ready or ready
        self.ready_since = (self.ready_since or datetime.now(UTC)) if ready else None
        self.unready_since = None if ready else self.unready_since or datetime.now(UTC)
        return Server(
            name=self.name,
            uid=self.name,
            revision=self.revision,
            created_at=self.created_at,
            serving=self.serving,
            ready=ready,
            ready_since=self.ready_since,
            unready_since=self.unready_since,
            was_ready=self.was_ready,
            terminating=self.terminating,
            quiesced_at=self.quiesced_at,
            deletion_cost=self.deletion_cost,
            drain_requested=self.drain_requested,
            waiting_reason=self._waiting_reason(),
            waiting_message=self.process.last_log_line() or None if self.crashed else None,
            admin=AdminAccess(address, naming.credentials_secret(self.cluster)),
            report=report,
        )

    def _waiting_reason(self) -> str | None:
        if self.crashed:
            return CRASHED
        return None if self.answered else STARTING


async def _call_if_reachable(call: Callable[[str, str], Awaitable[None]], address: str, token: str) -> None:
    """Make a call; an unavailable server is ignored, as the next observation repeats the call."""
    with contextlib.suppress(ServerUnavailableError):
        await call(address, token)
