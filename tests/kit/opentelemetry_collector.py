"""The real OpenTelemetry Collector on loopback, built once per machine from its Go modules, and what it prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.kit.cluster.layout import REPOSITORY, Layout
from tests.kit.cluster.programs import Program, find_go
from tests.kit.redis_process import free_port, wait_until

VERSION = "v0.165.0"
"""Version in hack/opentelemetry-collector/go.mod."""
START_SECONDS = 30
STOP_SECONDS = 10

_SPAN = re.compile(r"^Span #\d+$", re.MULTILINE)
_FIELD = re.compile(r"^ +(Trace ID|Parent ID|ID|Name|Kind) +: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PrintedSpan:
    """A span as the collector prints it."""

    trace: str
    parent: str
    ident: str
    name: str
    kind: str


def program(layout: Layout) -> Program:
    """Return the collector's program."""
    target = layout.cache / "bin" / f"otelcol-{VERSION}" / "otelcol"
    return Program(REPOSITORY / "hack" / "opentelemetry-collector", ".", target)


def printed_spans(text: str) -> list[PrintedSpan]:
    """Return the spans in the collector's output, with its exporter `debug` in detail."""
    return [
        PrintedSpan(found["Trace ID"], found["Parent ID"], found["ID"], found["Name"], found["Kind"])
        for part in _SPAN.split(text)[1:]
        if (found := dict(_FIELD.findall(part)))
    ]


class OpenTelemetryCollector:
    """A process of the collector while its context is entered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Address for exporters."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def output(self) -> str:
        """All that it has printed."""
        return (self._folder / "otelcol.log").read_text()

    def __enter__(self) -> Self:
        """Start it, and wait until it takes spans."""
        config = self._folder / "otelcol.json"
        receiver = {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self._port}"}}}}
        pipelines = {"traces": {"receivers": ["otlp"], "exporters": ["debug"]}}
        service = {"telemetry": {"metrics": {"level": "none"}}, "pipelines": pipelines}
        config.write_text(
            json.dumps({"receivers": receiver, "exporters": {"debug": {"verbosity": "detailed"}}, "service": service})
        )
        with (self._folder / "otelcol.log").open("wb") as log:
            command = [str(program(Layout()).target), "--config", str(config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: "Everything is ready" in self.output, "the collector is ready", START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)


if __name__ == "__main__":
    layout = Layout()
    if not program(layout).target.exists():
        print("building the OpenTelemetry Collector (once per machine)", file=sys.stderr)
        program(layout).build(find_go(layout, print))
