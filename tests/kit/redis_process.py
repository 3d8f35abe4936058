"""A real Redis on loopback, for one test or one module."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

START_SECONDS = 10


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class RedisProcess:
    """A redis-server with append-only file, so that it can be stopped and started again with its data."""

    port: int
    folder: str
    password: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for clients."""
        password = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{password}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers; raises RuntimeError if it does not."""
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("redis-server is not installed: run `make setup`")
        options = [
            "--bind",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--dir",
            self.folder,
            "--save",
            "",
            "--appendonly",
            "yes",
            "--requirepass",
            self.password,
        ]
        self.process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"redis-server does not answer on port {self.port}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill it, as a machine that goes away does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def lose_data(self) -> None:
        """Forget everything; only while it is stopped."""
        shutil.rmtree(self.folder)
        Path(self.folder).mkdir()

    def freeze(self) -> None:
        """Let it hang: its connections stay and nothing answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextlib.contextmanager
def running_redis(password: str = "") -> Iterator[RedisProcess]:
    """Run a Redis while the body runs."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        redis = RedisProcess(free_port(), folder, password)
        redis.start()
        try:
            yield redis
        finally:
            redis.stop()
