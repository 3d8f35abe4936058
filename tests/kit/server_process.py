"""A real server process on loopback, configured by a file and asked through its admin API."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, Self

import aiohttp

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.api import ServerApi
from tests.kit.deadline import eventually
from tests.kit.document import parse, text_at
from tests.kit.redis_process import free_port

API_KEY = "component-api-key"
TOKEN_SECRET = "component-token-secret-of-enough-bytes"
ADMIN_TOKEN = "component-admin-token"
START_SECONDS = 15
END_SECONDS = 15

NAMESPACES: tuple[JsonObject, ...] = (
    {
        "name": "chat",
        "history": {"size": 1000, "ttl_seconds": 300},
        "recovery": True,
        "presence": True,
        "publish": "subscribers",
    },
    {"name": "open", "publish": "anyone"},
    {"name": "feed", "history": {"size": 10, "ttl_seconds": 300}, "recovery": True},
)


class RedisPlace(Protocol):
    """A Redis with a URL for servers."""

    @property
    def url(self) -> str:
        """The URL."""


class ServerProcess:
    """`realtime-server run` with the namespaces above; `changes` replace top-level fields of the configuration.

    Of `listen` they replace fields.
    """

    options: tuple[str, ...] = ()
    """Further command-line options."""
    variables: Mapping[str, str] = MappingProxyType({})
    """Further environment variables."""

    def __init__(self, name: str, redis: RedisPlace | None, **changes: JsonValue) -> None:
        self.name = name
        self.client_port, self.api_port, self.admin_port = free_port(), free_port(), free_port()
        ports = {"client_port": self.client_port, "api_port": self.api_port, "admin_port": self.admin_port}
        listen = changes.pop("listen", {})
        assert isinstance(listen, dict)
        self.listen: JsonObject = {"host": "127.0.0.1", **ports, **listen}
        self._redis = redis
        self._changes = changes
        self._folder = tempfile.TemporaryDirectory(prefix="server-")
        self.log = Path(self._folder.name) / "log"
        self.process: asyncio.subprocess.Process | None = None

    @property
    def folder(self) -> Path:
        """Folder of its files."""
        return Path(self._folder.name)

    @property
    def url(self) -> str:
        """URL that clients connect to."""
        return f"ws://127.0.0.1:{self.client_port}/connection/websocket"

    def api(self) -> ServerApi:
        """Return a client of its server API."""
        return ServerApi(f"http://127.0.0.1:{self.api_port}", API_KEY)

    async def __aenter__(self) -> Self:
        """Start the process and wait until it is ready; a failure leaves no process behind."""
        try:
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Terminate the process without a drain; kill it when it does not end."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(END_SECONDS):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if self.log.exists():
            print(f"--- log of {self.name}", self.log.read_text(), sep="\n")  # shown by pytest when a test fails
        self._folder.cleanup()

    async def _start(self) -> None:
        process = await self.launch()

        async def ready_or_ended() -> bool:
            return process.returncode is not None or await self.ready()

        await eventually(
            ready_or_ended,
            bool,
            what=f"server {self.name} ready",
            within=START_SECONDS,
            every=0.05,
            show=lambda _: self.log.read_text(),
        )
        assert process.returncode is None, f"server {self.name} ended: {self.log.read_text()}"

    async def launch(self) -> asyncio.subprocess.Process:
        """Start the process without waiting: it may end or be drained before it is ready."""
        config = self.write_files()
        environment: Mapping[str, str] = {**os.environ, **self.variables, "REALTIME_SERVER_NAME": self.name}
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "realtime_server", "run", "--config", config, *self.options,
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        return self.process

    async def ready(self) -> bool:
        """Return True when the server's readiness probe succeeds."""
        try:
            status, _ = await self._request("GET", "/health/ready")
        except (aiohttp.ClientError, TimeoutError):
            return False
        return status == 200

    async def live(self) -> bool:
        """Return True when the server's liveness probe succeeds."""
        status, _ = await self._request("GET", "/health/live")
        return status == 200

    async def admin(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        """Call the admin API and return its answer; raises AssertionError for a status other than 200."""
        status, text = await self._request(method, f"/admin/v1/{path}", body)
        assert status == 200, f"{method} {path}: {status} {text}"
        return parse(text)

    async def state(self) -> str:
        """Return the server's state: serving, quiesced, draining, drained."""
        return text_at(await self.admin("GET", "status"), "state")

    async def metrics(self) -> str:
        """Return the text of /metrics."""
        _, text = await self._request("GET", "/metrics")
        return text

    async def _request(self, method: str, path: str, body: JsonObject | None = None) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        timeout = aiohttp.ClientTimeout(total=5)
        admin_socket = self.listen.get("admin_socket")
        connector = None if admin_socket is None else aiohttp.UnixConnector(str(admin_socket))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(method, url, json=body, headers=headers) as response,
        ):
            return response.status, await response.text()

    def write_files(self) -> str:
        """Write its files; return the path of the configuration."""
        folder = self.folder
        files = {"api-key": API_KEY, "token-secret": TOKEN_SECRET, "admin-token": ADMIN_TOKEN}
        if self._redis is not None:
            files["redis-url"] = self._redis.url
        for name, value in files.items():
            (folder / name).write_text(value)
        redis: JsonValue = None if self._redis is None else {"url_file": str(folder / "redis-url")}
        config: JsonObject = {
            "listen": self.listen,
            "namespaces": list(NAMESPACES),
            "auth": {
                "anonymous": False,
                "token_keys": [{"algorithm": "HS256", "file": str(folder / "token-secret")}],
            },
            "api": {"key_file": str(folder / "api-key")},
            "admin": {"token_file": str(folder / "admin-token")},
            "backplane": {"redis": redis, "prefix": "component"},
            "drain": {"connections_per_second": 50, "timeout_seconds": 30, "settle_seconds": 0},
            **self._changes,
        }
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        return str(path)
