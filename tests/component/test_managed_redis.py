"""Container of the managed Redis: its command and probes, run here with other folders and port."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.pods import pod
from realtime_operator.builders.redis.script import DATA_DIRECTORY, OVERLAP_SECONDS
from realtime_operator.builders.redis.stateful_set import build_redis_stateful_set
from tests.kit.deadline import eventually
from tests.kit.document import dig, objects_at
from tests.kit.manifests import SETTINGS, as_run, cluster_of, with_redis_password
from tests.kit.redis_process import free_port

PASSWORD = "pass word/with-$HOME_and#'signs'\"of\\all kinds"
START_SECONDS = 10
SHORT_OVERLAP_SECONDS = 3


class Container:
    """Container of the manifest, moved into a folder."""

    def __init__(self, folder: Path, managed: JsonObject | None = None) -> None:
        cluster = cluster_of({"backplane": {"redis": {"managed": managed or {}}}})
        manifest = build_redis_stateful_set(cluster, SETTINGS, with_redis_password(cluster))
        assert manifest is not None
        self._manifest, *self.others = objects_at(manifest, "spec", "template", "spec", "containers")
        self.port = free_port()
        self._moved = {
            naming.REDIS_TLS_DIRECTORY: str(folder / "tls"),
            naming.REDIS_CREDENTIALS_DIRECTORY: str(folder / "credentials"),
            f"--dir {DATA_DIRECTORY}": f"--dir {folder / 'data'}",
            f"{pod.TEMPORARY_DIRECTORY}/redis.conf": str(folder / "tmp.conf"),
            str(naming.PORT_REDIS): str(self.port),
            f"now + {OVERLAP_SECONDS})": f"now + {SHORT_OVERLAP_SECONDS})",
        }
        for name in ("credentials", "data"):
            (folder / name).mkdir()
        self.password_file = folder / "credentials" / naming.KEY_REDIS_PASSWORD
        self.password_file.write_text(PASSWORD)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run the container's command."""
        command = self._command(dig(self._manifest, "command"))
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """Stop the container as the kubelet does."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=START_SECONDS)
            self.process = None

    def probe(self, name: str) -> bool:
        """Run a probe, and return True when it succeeds."""
        command = self._command(dig(self._manifest, name, "exec", "command"))
        return subprocess.run(command, capture_output=True, timeout=5).returncode == 0

    def known_to_others(self, name: str) -> bytes:
        """Return what /proc shows others of its process."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/{name}").read_bytes()

    async def ready(self) -> None:
        """Wait until the readiness probe succeeds."""

        async def probe() -> bool:
            return self.probe("readinessProbe")

        await eventually(probe, bool, what="the readiness probe succeeds", within=START_SECONDS)

    def client(self, password: str | None = PASSWORD) -> redis.Redis:
        """Return a client of it."""
        return redis.Redis(port=self.port, password=password, decode_responses=True)

    def _command(self, words: JsonValue) -> list[str]:
        assert isinstance(words, list)
        command = [as_run(str(word)) for word in words]
        for here, there in self._moved.items():
            command = [word.replace(here, there) for word in command]
        return command


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """Run a container."""
    found = Container(tmp_path)
    found.start()
    try:
        yield found
    finally:
        found.stop()


async def test_it_wants_the_password_of_the_file(container: Container) -> None:
    """The password may contain any characters."""
    await container.ready()
    with container.client() as client:
        assert client.ping()
    with container.client(password=None) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


async def test_a_changed_password_is_taken_without_a_restart(container: Container) -> None:
    """Both are valid for a while, and connections stay; then the former one is refused. Several changes may follow."""
    await container.ready()

    async def accepts(password: str) -> bool:
        with container.client(password) as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return False

    former = PASSWORD
    with container.client() as connected:
        assert connected.ping()
        for new in ('1 "new" \\ pass\'word', "2", PASSWORD):
            container.password_file.write_text(new)
            await eventually(lambda new=new: accepts(new), bool, what="the new password", within=START_SECONDS)  # type: ignore[misc]
            assert await accepts(former)
            assert container.probe("readinessProbe")
            await eventually(
                lambda former=former: accepts(former), lambda is_valid: not is_valid, what="its end",  # type: ignore[misc]
                within=START_SECONDS,
            )  # fmt: skip
            former = new
        assert connected.ping()
    container.stop()
    container.start()
    await container.ready()
    assert await accepts(former)


async def test_the_password_is_not_in_its_arguments_or_environment(container: Container) -> None:
    """Others on the node can read both."""
    await container.ready()
    for name in ("cmdline", "environ"):
        assert PASSWORD.encode() not in container.known_to_others(name)


async def test_it_refuses_writes_when_it_is_full_and_evicts_nothing(container: Container) -> None:
    """An evicted history would be lost."""
    await container.ready()
    with container.client() as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("maxmemory") == {"maxmemory": "161061273"}


async def test_a_restarted_container_has_its_data(container: Container) -> None:
    """The data is in its append-only file."""
    await container.ready()
    with container.client() as client:
        client.set("key", "value")
    container.stop()
    assert not container.probe("livenessProbe")
    container.start()
    await container.ready()
    assert container.probe("livenessProbe")
    with container.client() as client:
        assert client.get("key") == "value"


async def test_the_shell_is_replaced(container: Container) -> None:
    """Signals of the kubelet reach Redis itself."""
    await container.ready()
    assert container.known_to_others("comm") == b"redis-server\n"
