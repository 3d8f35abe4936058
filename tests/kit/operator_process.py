"""A real operator as a process of this machine, with the credentials of the operator's user at an API server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import aiohttp

from tests.kit.apiserver import OPERATOR_USER, ApiServer
from tests.kit.deadline import eventually
from tests.kit.redis_process import free_port

END_SECONDS = 20
READY_SECONDS = 30


class OperatorProcess:
    """`python -m realtime_operator`. Use it as an asynchronous context manager.

    `program` is the command line of another operator, `user` who was granted what it needs; `settings` are environment
    variables without their prefix.
    """

    def __init__(
        self,
        server: ApiServer,
        lease_namespace: str,
        program: Sequence[str | Path] = (),
        user: str = OPERATOR_USER,
        /,
        **settings: object,
    ) -> None:
        self._server, self._user = server, user
        self._program = [str(word) for word in program] or [sys.executable, "-P", "-m", "realtime_operator"]
        self.port = free_port()
        given = {
            "server_image": "localhost/server:test",
            "redis_image": "localhost/redis:test",
            "lease_namespace": lease_namespace,
            "http_port": self.port,
            "log_format": "text",
            **settings,
        }
        self._environment = {f"REALTIME_OPERATOR_{name.upper()}": str(value) for name, value in given.items()}
        self._folder = tempfile.TemporaryDirectory(prefix="operator-")
        self._log = Path(self._folder.name) / "log"
        self.process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start the process."""
        environment = {**os.environ, **self._environment, "KUBECONFIG": str(self._server.kubeconfig(self._user))}
        with self._log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", *self._program, env=environment, stdout=log, stderr=log
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the process, and print its log when the test fails."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(END_SECONDS):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        print("--- log of the operator", self.log(), sep="\n")
        self._folder.cleanup()

    def log(self) -> str:
        """Text of its log."""
        return self._log.read_text(errors="replace")

    async def get(self, path: str) -> tuple[int, str]:
        """GET a path of its HTTP port; returns (0, "") while it does not listen."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def readiness(self) -> str:
        """Return the reason of its readiness probe; empty when it is ready."""
        assert self.process is not None
        assert self.process.returncode is None, self.log()
        status, text = await self.get("/readyz")
        return "" if status == 200 else text or "does not listen"

    async def wait_ready(self, within: float = READY_SECONDS) -> None:
        """Wait until it leads and watches."""
        await eventually(self.readiness, lambda why: not why, what="operator ready", within=within, every=0.1)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend the process while the body runs: it notices nothing, and its connections may break."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def memory(self) -> tuple[int, int]:
        """Return bytes of resident memory: current and peak."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        now, most = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        return now, most
