"""A real Redis or Valkey on loopback."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from tests.kit.redis_answer import Answer, ask

START_SECONDS = 10


FIRST_PORT, PORTS = 10_000, 2_000
"""Ports that tests give out, a part for each test process: below those that the kernel gives to whoever connects, and
10,000 above them there is room for the second port that each node of a Redis Cluster has."""


def _ports() -> Iterator[int]:
    """Yield the ports of this process endlessly, from an offset by its id on."""
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw4").removeprefix("gw")) % 5
    for number in itertools.count(os.getpid()):
        yield FIRST_PORT + part * PORTS + number % PORTS


_next_port = _ports()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that is free, and that was not returned recently."""
    for port in itertools.islice(_next_port, PORTS):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no TCP port is free")


def wait_until(condition: Callable[[], bool], what: str, within: float, *, every: float = 0.05) -> None:
    """Wait until `condition` holds; errors of Redis count as False. Raises RuntimeError after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(RedisError, OSError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {within:g} s: {what}")
        time.sleep(every)


@dataclass
class RedisProcess:
    """A redis-server, by default with append-only file, so that it can be stopped and started again with its data.

    `options` come after those that are always there, as words of the command line.
    """

    port: int
    folder: str
    password: str = ""
    program: str = "redis-server"
    options: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    launcher: tuple[str, ...] = ()
    """Command prefix for the program."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for clients."""
        password = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{password}{self.host}:{self.port}/0"

    @property
    def address(self) -> str:
        """Address as HOST:PORT."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it answers; raises RuntimeError when it does not, and stops it."""
        self.launch()
        try:
            self.wait()
        except RuntimeError:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the process without waiting for an answer."""
        program = shutil.which(self.program)
        if program is None:
            raise RuntimeError(f"{self.program} is not installed: run `make setup`")
        self.process = subprocess.Popen(
            [*self.launcher, program, *self._words()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _words(self) -> list[str]:
        always = {
            "bind": self.host, "port": str(self.port), "dir": self.folder, "save": "", "appendonly": "yes",
            "appendfsync": "no",  # what was answered is written: with everysec a slow disk makes Redis put it off
            "requirepass": self.password, "masterauth": self.password,
        }  # fmt: skip
        return [*(word for name, value in always.items() for word in (f"--{name}", value)), *self.options]

    def wait(self) -> None:
        """Wait until the process answers; raises RuntimeError when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"{self.program} does not answer on port {self.port}")
            time.sleep(0.02)

    def ask(self, *words: str | int | bytes) -> Answer:
        """Send a command; raises OSError and redis.ResponseError."""
        return ask((self.host, self.port), self.password, *words)

    def client(self) -> Redis:
        """Return a client of the library, for administrative commands."""
        return Redis(host=self.host, port=self.port, password=self.password or None)

    def stop(self) -> None:
        """Kill the process (SIGKILL), also while it is suspended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def lose_data(self) -> None:
        """Delete all data; the process must be stopped."""
        shutil.rmtree(self.folder)
        Path(self.folder).mkdir()

    def evict(self, channel: str) -> None:
        """Delete the history of a channel, as an eviction of keys does."""
        with self.client() as client:
            keys = list(client.scan_iter(match=f"*{channel}*"))
            assert client.delete(*keys) == len(keys) > 0

    def freeze(self) -> None:
        """Suspend the process: connections stay open without answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the process."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


def cut_replication(primary: RedisProcess) -> None:
    """Let the replicas of a primary lag for ever: they are thrown out, and have no password to come back with.

    Connections that are open stay. After a restart the password is what it was.
    """
    primary.ask("CONFIG", "SET", "requirepass", "a password that no replica has")
    ask((primary.host, primary.port), "a password that no replica has", "CLIENT", "KILL", "TYPE", "replica")


@contextlib.contextmanager
def running_redis(
    password: str = "", *, program: str = "redis-server", options: tuple[str, ...] = ()
) -> Iterator[RedisProcess]:
    """Run a Redis while the body runs."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        redis = RedisProcess(free_port(), folder, password, program, options)
        redis.start()
        try:
            yield redis
        finally:
            redis.stop()
