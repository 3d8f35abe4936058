"""nginx, HAProxy, Caddy and Apache of the distribution on loopback, with the configurations of examples/proxies.

The files are used as they stand: only addresses, ports and Apache's folder are replaced, each where it is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from tests.kit.cluster.layout import REPOSITORY
from tests.kit.deadline import eventually
from tests.kit.listener import accepts
from tests.kit.redis_process import free_port

EXAMPLES = REPOSITORY / "examples" / "proxies"
START_SECONDS = 15
SERVERS = ("10.0.0.1:8000", "10.0.0.2:8000")
"""Addresses of the servers in the examples."""


class Proxy:
    """One proxy in front of two servers, given by their ports for clients. Use it as a context manager.

    `changes` replaces lines of the example by those of a variant.
    """

    name: ClassVar[str]
    example: ClassVar[str]

    def __init__(self, folder: Path, ports: Sequence[int], changes: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.folder = folder
        self._changes = changes or {}
        self._ports = ports
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    @property
    def http(self) -> str:
        """URL for other requests, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the proxy has written."""
        return self._log.read_text(errors="replace")

    def command(self, config: Path) -> Sequence[str]:
        """Return the command line that runs it in the foreground."""
        raise NotImplementedError

    async def reload(self, ports: Sequence[int]) -> None:
        """Make it read its configuration again, now with other servers."""
        self._ports = ports
        self._write()
        await self._reread()

    async def _reread(self) -> None:
        raise NotImplementedError

    def replacements(self) -> dict[str, str]:
        """Return what is replaced in the example."""
        servers = {given: f"127.0.0.1:{port}" for given, port in zip(SERVERS, self._ports, strict=True)}
        return {"0.0.0.0": "127.0.0.1", ":8080": f":{self.port}", **servers}

    def _write(self) -> Path:
        text = (EXAMPLES / self.example).read_text()
        for given, used in {**self._changes, **self.replacements()}.items():
            assert given in text, f"{self.example} has no {given!r}"
            text = text.replace(given, used)
        path = self.folder / self.example
        path.write_text(text)
        return path

    async def __aenter__(self) -> Self:
        """Start the process and wait until it listens."""
        self.folder.mkdir(exist_ok=True)
        command = self.command(self._write())
        environment = {**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "TERM", *command, env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        await eventually(self._listens, bool, what=f"{self.name} listens", within=START_SECONDS, every=0.1,
                         show=lambda _: self.log)  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill the process with its workers, and print its log when the test fails."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        print(f"--- log of {self.name}", self.log, sep="\n")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    async def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self.log
        return await accepts("127.0.0.1", self.port)


class Nginx(Proxy):
    """nginx as master with workers."""

    name = "nginx"
    example = "nginx.conf"

    def command(self, config: Path) -> Sequence[str]:
        """See Proxy."""
        directives = f"daemon off; pid {self.folder}/nginx.pid;"
        return "nginx", "-p", str(self.folder), "-e", "stderr", "-c", str(config), "-g", directives

    async def _reread(self) -> None:
        self.send(signal.SIGHUP)


class HaProxy(Proxy):
    """HAProxy as master with a worker."""

    name = "haproxy"
    example = "haproxy.cfg"

    def command(self, config: Path) -> Sequence[str]:
        """See Proxy."""
        return "haproxy", "-W", "-db", "-f", str(config)

    async def _reread(self) -> None:
        self.send(signal.SIGUSR2)


class Caddy(Proxy):
    """Caddy with its admin API on a port of its own."""

    name = "caddy"
    example = "Caddyfile"

    def __init__(self, folder: Path, ports: Sequence[int], changes: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, ports, changes)
        self._admin_port = free_port()

    def replacements(self) -> dict[str, str]:
        """See Proxy."""
        return {**super().replacements(), ":2019": f":{self._admin_port}"}

    def command(self, config: Path) -> Sequence[str]:
        """See Proxy."""
        return "caddy", "run", "--config", str(config), "--adapter", "caddyfile"

    async def _reread(self) -> None:
        reload = await asyncio.create_subprocess_exec(
            "caddy", "reload", "--config", str(self.folder / self.example), "--adapter", "caddyfile",
            "--address", f"127.0.0.1:{self._admin_port}",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await reload.wait() == 0


class Apache(Proxy):
    """Apache httpd with threads."""

    name = "apache"
    example = "apache.conf"

    def replacements(self) -> dict[str, str]:
        """See Proxy."""
        return {**super().replacements(), "ServerRoot /tmp": f"ServerRoot {self.folder}"}

    def command(self, config: Path) -> Sequence[str]:
        """See Proxy."""
        return "apache2", "-f", str(config), "-DFOREGROUND"

    async def _reread(self) -> None:
        self.send(signal.SIGUSR1)


PROXIES: tuple[type[Proxy], ...] = (Nginx, HaProxy, Caddy, Apache)
