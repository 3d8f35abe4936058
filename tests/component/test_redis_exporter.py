"""The exporter beside a managed Redis: Debian's redis_exporter, with the environment of its container."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import redis

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.redis.metrics_exporter import NAME
from tests.component.test_managed_redis import START_SECONDS, Container
from tests.kit.deadline import eventually
from tests.kit.document import dig, objects_at, text_at
from tests.kit.generated_certificates import GeneratedCertificates
from tests.kit.redis_process import free_port

PROGRAM = "prometheus-redis-exporter"
PASSWORD = 'the exporter\'s "password"'


def values_of(text: str) -> dict[str, float]:
    """Parse metrics in Prometheus' format: the value of each by its name and labels."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


class Exporter:
    """The exporter's container beside a Redis container, both moved into a folder."""

    def __init__(self, folder: Path, managed: JsonObject) -> None:
        self.redis = Container(folder, {**managed, "exporter": {}})
        (self.manifest,) = self.redis.others
        (folder / "credentials" / naming.KEY_EXPORTER_PASSWORD).write_text(PASSWORD)
        if "tls" in managed:
            GeneratedCertificates().mount(folder / "tls")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start both."""
        self.redis.start()
        program = shutil.which(PROGRAM)
        assert program is not None, f"{PROGRAM} is not installed: run `make setup`"
        listen = {"REDIS_EXPORTER_WEB_LISTEN_ADDRESS": f"127.0.0.1:{self.port}"}
        self._process = subprocess.Popen(
            [program], env={**os.environ, **self.environment(), **listen}, stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        """Stop both."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=START_SECONDS)
        self.redis.stop()

    def environment(self) -> dict[str, str]:
        """Return the environment of the container as the kubelet makes it."""
        found: dict[str, str] = {}
        for variable in objects_at(self.manifest, "env"):
            is_secret = dig(variable, "valueFrom", "secretKeyRef", "key") == naming.KEY_EXPORTER_PASSWORD
            found[text_at(variable, "name")] = PASSWORD if is_secret else text_at(variable, "value")
        return {name: value.replace(f":{naming.PORT_REDIS}", f":{self.redis.port}") for name, value in found.items()}

    async def metrics(self) -> dict[str, float]:
        """Return the metrics by name and labels, empty while it does not answer."""
        address = f"http://127.0.0.1:{self.port}/metrics"
        try:
            async with aiohttp.ClientSession() as session, session.get(address) as answer:
                return values_of(await answer.text())
        except aiohttp.ClientError:
            return {}


@pytest.fixture(params=[{}, {"tls": {}}], ids=["plain", "tls"])
def exporter(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Exporter]:
    """Run Redis and its exporter, with and without TLS."""
    found = Exporter(tmp_path, request.param)
    found.start()
    try:
        yield found
    finally:
        found.stop()


async def test_it_shows_what_redis_says_of_itself(exporter: Exporter) -> None:
    """Memory, its limit, connections, commands and the append-only file."""
    found = await eventually(
        exporter.metrics, lambda values: values.get("redis_up") == 1, what="redis_up", within=START_SECONDS * 3
    )
    assert found["redis_memory_max_bytes"] == 161061273
    assert found["redis_memory_used_bytes"] > 0
    assert found["redis_connected_clients"] >= 1
    assert found["redis_aof_enabled"] == 1
    assert found['redis_exporter_last_scrape_error{err=""}'] == 0


@pytest.mark.parametrize("exporter", [{}], indirect=True)
async def test_its_user_reads_numbers_only(exporter: Exporter) -> None:
    """Neither keys nor the configuration with the password of servers, and it cannot publish."""
    await exporter.redis.ready()
    with redis.Redis(port=exporter.redis.port, username=NAME, password=PASSWORD, decode_responses=True) as client:
        assert "used_memory" in client.info("memory")
        for command in (("CONFIG", "GET", "requirepass"), ("GET", "key"), ("PUBLISH", "a", "b"), ("ACL", "LIST")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)


@pytest.mark.parametrize("exporter", [{}], indirect=True)
async def test_its_password_is_not_in_arguments(exporter: Exporter) -> None:
    """The container has neither command nor arguments; the manifest has the name of the Secret only."""
    assert not {"command", "args"} & exporter.manifest.keys()
    assert PASSWORD not in str(exporter.manifest)
