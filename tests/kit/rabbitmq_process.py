"""A real RabbitMQ on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.redis_process import free_port

PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""The program itself: that on the PATH changes to the user of the distribution's service, which owns its folders."""
START_SECONDS = 60
"""5 to 9 s on 2 busy cores: Erlang loads its code first."""
GREETING = b"AMQP\x00\x00\x09\x01"
CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
consumer_timeout = {consumer_timeout}
log.console = true
log.console.level = warning
log.file = false
"""
TLS = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {certificates}/ca.crt
ssl_options.certfile = {certificates}/tls.crt
ssl_options.keyfile = {certificates}/tls.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""
ERLANG = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
"""Options of Erlang: two threads that do not spin while they wait, and no port for other machines."""


@dataclass
class RabbitMqProcess:
    """A RabbitMQ with its own node name, ports and folder, so that it can be stopped and started again with its data.

    `consumer_timeout` is in milliseconds. With `certificates`, a folder with ca.crt, tls.crt and tls.key, it speaks TLS
    on a second port, and asks clients for a certificate.
    """

    folder: Path
    port: int
    distribution_port: int
    mapper_port: int
    consumer_timeout: int = 1_800_000
    certificates: Path | None = None
    tls_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    mapper: subprocess.Popen[bytes] | None = None
    """Erlang's port mapper: as a daemon, which RabbitMQ would start, it would outlive the test."""

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the process and wait until it answers; raises RuntimeError when it does not, and stops it."""
        if not Path(PROGRAM).exists():
            raise RuntimeError("rabbitmq-server is not installed: run `hack/setup-system.sh rabbitmq`")
        if self.mapper is None:
            self.mapper = self._launch("epmd", "-port", str(self.mapper_port), "-address", "127.0.0.1")
        self.process = self._launch(PROGRAM)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.stop()
                raise RuntimeError(f"RabbitMQ does not answer on port {self.port}: {self.log.read_text()}")
            time.sleep(0.05)

    @property
    def log(self) -> Path:
        """Output of the process."""
        return self.folder / "output"

    def kill(self) -> None:
        """Kill the process (SIGKILL), also while it is suspended; `start` starts it again with its data."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Kill the process and its port mapper."""
        self.kill()
        if self.mapper is not None:
            self.mapper.kill()
            self.mapper.wait()
            self.mapper = None

    def freeze(self) -> None:
        """Suspend the process: connections stay open without answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the process."""
        self._signal(signal.SIGCONT)

    def _launch(self, *words: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment(),
                start_new_session=True,
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        tls = "" if self.certificates is None else TLS.format(port=self.tls_port, certificates=self.certificates)
        files = {
            "rabbitmq.conf": CONFIGURATION.format(port=self.port, consumer_timeout=self.consumer_timeout) + tls,
            "enabled_plugins": "[rabbitmq_consistent_hash_exchange].\n",
            "environment.conf": "",  # instead of the distribution's
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self.mapper_port),
            "RABBITMQ_NODENAME": f"test-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "environment.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
        }

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)  # a shell that waits for Erlang, and Erlang

    def _answers(self) -> bool:
        """Return True when it talks AMQP, and listens on the port for TLS if there is one."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(GREETING)
                is_up = bool(connection.recv(1))
            if self.certificates is not None:
                socket.create_connection(("127.0.0.1", self.tls_port), timeout=1).close()
        except OSError:
            return False
        return is_up


@contextlib.contextmanager
def running_rabbitmq(
    *, consumer_timeout: int = 1_800_000, certificates: Path | None = None
) -> Iterator[RabbitMqProcess]:
    """Run a RabbitMQ while the body runs."""
    folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
    rabbitmq = RabbitMqProcess(folder, free_port(), free_port(), free_port(), consumer_timeout, certificates)
    try:
        rabbitmq.start()
        yield rabbitmq
    finally:
        rabbitmq.stop()
        shutil.rmtree(folder)
