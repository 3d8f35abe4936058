"""A real Prometheus as a process, and its HTTP API."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, objects_at, text_at
from tests.kit.deadline import eventually
from tests.kit.document import parse
from tests.kit.redis_process import free_port

START_SECONDS = 30
END_SECONDS = 20
CALL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Series:
    """Series with its samples, as (Unix time, value)."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float]]


class PrometheusProcess:
    """`prometheus` with a configuration, as an asynchronous context manager. `launcher` is a prefix of the command.

    `program` is another one than Debian's.
    """

    def __init__(
        self,
        configuration: JsonObject,
        launcher: Sequence[str] = (),
        host: str = "127.0.0.1",
        program: Path | None = None,
    ) -> None:
        self._program = program
        self._configuration = configuration
        self._launcher = launcher
        self._host = host
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="prometheus-"))
        self._log = self._folder / "log"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start it, and wait until it is ready; a failure leaves no process behind."""
        program = self._program or shutil.which("prometheus")
        assert program is not None, "prometheus is not installed: run `make setup`"
        configuration = self._folder / "prometheus.json"  # JSON is YAML
        configuration.write_text(json.dumps(self._configuration))
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", *self._launcher, program, f"--config.file={configuration}",
                f"--storage.tsdb.path={self._folder}/data", f"--web.listen-address={self._host}:{self.port}",
                "--log.level=warn", stdout=log, stderr=log,
            )  # fmt: skip
        try:
            await eventually(
                self._ready, bool, what="Prometheus ready", within=START_SECONDS, show=lambda _: self._log.read_text()
            )
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it and remove its data; its log is shown by pytest when a test fails."""
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        print("--- log of prometheus", self._log.read_text(), sep="\n")
        shutil.rmtree(self._folder)

    async def targets(self) -> list[JsonObject]:
        """Return the targets that it scrapes."""
        return objects_at(await self._get("targets", state="active"), "data", "activeTargets")

    async def rules(self) -> list[str]:
        """Return the names of the rules that it evaluates."""
        groups = objects_at(await self._get("rules"), "data", "groups")
        return [text_at(rule, "name") for group in groups for rule in objects_at(group, "rules")]

    async def query(self, expression: str) -> list[Series]:
        """Return the result of an instant query: a vector, or the raw samples of a range selector."""
        return _series(await self._get("query", query=expression))

    async def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Return the result of a query at each step."""
        answer = await self._get("query_range", query=expression, start=str(start), end=str(end), step=str(step))
        return _series(answer)

    async def _ready(self) -> bool:
        process = self._process
        assert process is not None
        assert process.returncode is None, self._log.read_text()
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self._url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def _get(self, path: str, **parameters: str) -> JsonObject:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{self._url}/api/v1/{path}", params=parameters) as answer,
        ):
            document = parse(await answer.text())
        assert text_at(document, "status") == "success", document
        return document

    @property
    def _url(self) -> str:
        return f"http://{self._host}:{self.port}"


def _series(answer: JsonObject) -> list[Series]:
    found = []
    for entry in objects_at(answer, "data", "result"):
        labels = {key: str(value) for key, value in object_at(entry, "metric").items()}
        samples = entry.get("values", [entry.get("value")])
        assert isinstance(samples, list)
        found.append(Series(labels, [_sample(sample) for sample in samples]))
    return found


def _sample(sample: object) -> tuple[float, float]:
    assert isinstance(sample, list)
    at, value = sample
    return float(at), float(value) if value not in {"NaN", "+Inf", "-Inf"} else math.nan
