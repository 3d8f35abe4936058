"""A primary, replicas and three sentinels on loopback."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.kit.cut_off import Island
from tests.kit.redis_answer import Answer, ask, fields, texts
from tests.kit.redis_process import RedisProcess, cut_replication, free_port, wait_until

PRIMARY_NAME = "main"
DOWN_AFTER_SECONDS = 1.0
READY_SECONDS = 15.0
FAILOVER_SECONDS = 20.0


@dataclass
class SentinelProcess:
    """One sentinel, which rewrites its configuration file itself."""

    port: int
    configuration: Path
    host: str = "127.0.0.1"
    program: str = "redis-server"
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Address as HOST:PORT."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Start the process."""
        program = shutil.which(self.program)
        assert program is not None, f"{self.program} is not installed: run `make setup`"
        self.process = subprocess.Popen(
            [program, str(self.configuration), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        """Kill the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, *words: str | int) -> Answer:
        """Send a command; raises OSError and redis.ResponseError."""
        return ask((self.host, self.port), "", *words)

    def primary_port(self) -> int:
        """Return the port of the primary that this sentinel reports."""
        return int(texts(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY_NAME))[1])


@dataclass
class SentinelDeployment:
    """`data[0]` is the primary at first; `primary` is the current one."""

    data: list[RedisProcess]
    sentinels: list[SentinelProcess] = field(default_factory=list)

    @property
    def password(self) -> str:
        """Password of primary and replicas."""
        return self.data[0].password

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of the sentinels."""
        return tuple(sentinel.address for sentinel in self.sentinels)

    @property
    def url(self) -> str:
        """The URL for servers."""
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis+sentinel://{login}{','.join(self.addresses)}/{PRIMARY_NAME}"

    def primary(self) -> RedisProcess:
        """The primary according to the first sentinel."""
        port = self.sentinels[0].primary_port()
        return next(process for process in self.data if process.port == port)

    def replicas(self) -> list[RedisProcess]:
        """The replicas."""
        primary = self.primary()
        return [process for process in self.data if process is not primary]

    def cut_replication(self) -> None:
        """Stop replication for good, see `cut_replication` of redis_process."""
        cut_replication(self.primary())

    def wait_replicated(self) -> None:
        """Wait until the replicas are in sync and every sentinel knows all others and the replicas."""
        wait_until(self._replicated, "replicas in step, sentinels know each other", READY_SECONDS)

    def wait_failover(self, old: RedisProcess) -> RedisProcess:
        """Wait until every sentinel reports another primary than `old`; return it."""
        wait_until(
            lambda: all(sentinel.primary_port() != old.port for sentinel in self.sentinels),
            "all sentinels name another primary",
            FAILOVER_SECONDS,
        )
        return self.primary()

    def _replicated(self) -> bool:
        for sentinel in self.sentinels:
            known = fields(sentinel.ask("SENTINEL", "MASTER", PRIMARY_NAME))
            expected = (str(len(self.data) - 1), str(len(self.sentinels) - 1), "master")
            if (known["num-slaves"], known["num-other-sentinels"], known["flags"]) != expected:
                return False
        return all(_is_in_step(replica) for replica in self.replicas())


def _is_in_step(replica: RedisProcess) -> bool:
    replication = fields(replica.ask("INFO", "replication"))
    return replication["role"] == "slave" and replication["master_link_status"] == "up"


@contextlib.contextmanager
def running_sentinels(
    password: str = "",
    *,
    primary_in: Island | None = None,
    replicas: int = 1,
    program: str = "redis-server",
    options: tuple[str, ...] = (),
) -> Iterator[SentinelDeployment]:
    """Run them while the body runs; the first primary on an island where one is given, all others on this side.

    `options` are those of primary and replicas, as words of the command line.
    """
    here = "127.0.0.1" if primary_in is None else primary_in.near
    with tempfile.TemporaryDirectory(prefix="sentinel-") as folder, contextlib.ExitStack() as stack:
        data = []
        for number in range(1 + replicas):
            (Path(folder) / str(number)).mkdir()
            process = RedisProcess(
                free_port(), f"{folder}/{number}", password, program,
                options=("--repl-diskless-sync-delay", "0", *options), host=here,
            )  # fmt: skip
            if number == 0 and primary_in is not None:
                process.host, process.launcher = primary_in.address, primary_in.launcher
            process.start()
            stack.callback(process.stop)
            data.append(process)
        for replica in data[1:]:
            replica.ask("REPLICAOF", data[0].host, data[0].port)
        deployment = SentinelDeployment(data)
        for number in range(3):
            port = free_port()
            configuration = Path(folder) / f"sentinel-{number}.conf"
            configuration.write_text(_configuration((here, port), data[0], folder))
            sentinel = SentinelProcess(port, configuration, here, program)
            sentinel.start()
            stack.callback(sentinel.stop)
            deployment.sentinels.append(sentinel)
        deployment.wait_replicated()
        yield deployment


def _configuration(address: tuple[str, int], primary: RedisProcess, folder: str) -> str:
    host, port = address
    lines = [
        f"bind {host}",
        f"port {port}",
        f"dir {folder}",
        f"sentinel monitor {PRIMARY_NAME} {primary.host} {primary.port} 2",
        f"sentinel down-after-milliseconds {PRIMARY_NAME} {round(DOWN_AFTER_SECONDS * 1000)}",
        f"sentinel failover-timeout {PRIMARY_NAME} 6000",
    ]
    if primary.password:
        lines.append(f'sentinel auth-pass {PRIMARY_NAME} "{primary.password}"')
    return "\n".join(lines) + "\n"
