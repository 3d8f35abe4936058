"""HAProxy and Caddy of the distribution as processes on loopback: TLS ends at them, as at an Ingress controller."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.kit.certificates import Mount
from tests.kit.deadline import eventually
from tests.kit.listener import accepts
from tests.kit.redis_process import free_port

START_SECONDS = 15
END_SECONDS = 5
IDLE_SECONDS = 4
"""Seconds after which HAProxy ends a request without data; an upgraded connection may be idle for an hour."""

HAPROXY = """
global
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  option forwardfor
  timeout connect 5s
  timeout client {idle}s
  timeout server {idle}s
  timeout tunnel 3600s
frontend clients
  bind 127.0.0.1:{port} ssl crt {combined} alpn http/1.1
  default_backend servers
backend servers
  server service {target}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
https://127.0.0.1:{port} {{
  bind 127.0.0.1
  tls {certificate} {key}
  reverse_proxy {target}
}}
"""


class TlsProxy:
    """One proxy with the certificate of a mount in front of `target` (host:port). Use it as a context manager."""

    def __init__(self, folder: Path, mount: Mount, target: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._mount = mount
        self._target = target
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"wss://127.0.0.1:{self.port}/connection/websocket"

    def command(self) -> Sequence[str]:
        """Write the configuration; return the command line."""
        raise NotImplementedError

    def write(self, name: str, text: str) -> str:
        """Write a file; return its path."""
        path = self._folder / name
        path.write_text(text)
        return str(path)

    async def __aenter__(self) -> Self:
        """Start the process and wait until it listens."""
        self._folder.mkdir(exist_ok=True)
        command = self.command()
        environment = {**os.environ, "HOME": str(self._folder), "XDG_DATA_HOME": str(self._folder)}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", *command, env=environment, stdout=log, stderr=log
            )
        await eventually(self._listens, bool, what=f"{command[0]} listens", within=START_SECONDS, every=0.1,
                         show=lambda _: self._log.read_text())  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the process, and print its log when the test fails."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        async with asyncio.timeout(END_SECONDS):
            await self._process.wait()
        print(f"--- log of {type(self).__name__}", self._log.read_text(errors="replace"), sep="\n")

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    async def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self._log.read_text()
        return await accepts("127.0.0.1", self.port)


class HaProxy(TlsProxy):
    """HAProxy with short timeouts for requests, and a long one for upgraded connections."""

    def command(self) -> Sequence[str]:
        """See TlsProxy."""
        both = self._mount.certificate.read_text() + self._mount.key.read_text()
        combined = self.write("combined.pem", both)
        text = HAPROXY.format(idle=IDLE_SECONDS, port=self.port, combined=combined, target=self._target)
        return "haproxy", "-db", "-f", self.write("haproxy.cfg", text)


class Caddy(TlsProxy):
    """Caddy with its defaults."""

    def command(self) -> Sequence[str]:
        """See TlsProxy."""
        text = CADDY.format(
            port=self.port, certificate=self._mount.certificate, key=self._mount.key, target=self._target
        )
        return "caddy", "run", "--config", self.write("Caddyfile", text), "--adapter", "caddyfile"
