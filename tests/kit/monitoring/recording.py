"""Recordings of what a Prometheus scrapes in each situation: `python -m tests.kit.monitoring.recording [NAME ...]`.

It takes a quarter of an hour, as the alerts look back as far. All situations are recorded at once. A recording has the
series that alerts read, a sample for each scrape, `_` where there was none.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime_operator.monitoring import ALL, cluster_alerts, operator_alerts
from tests.kit.monitoring.operators import denied_operator, killed_operator
from tests.kit.monitoring.prometheus import PrometheusProcess, Series
from tests.kit.monitoring.situations import SITUATIONS, Situation
from tests.kit.monitoring.targets import Targets

FOLDER = Path(__file__).parents[2] / "fixtures" / "monitoring"
INTERVAL_SECONDS = 15
RECORDED_SECONDS = 15 * 60
ALL_SITUATIONS = {**SITUATIONS, "denied-operator": denied_operator, "killed-operator": killed_operator}
DROPPED_LABELS = ("job", "__name__")


@dataclass(frozen=True, slots=True)
class Recording:
    """Series of a situation, by their names as in PromQL, with the values of promtool's notation."""

    series: dict[str, str]
    started: str

    @classmethod
    def read(cls, name: str) -> Recording:
        """Read a stored recording."""
        document = json.loads((FOLDER / f"{name}.json").read_text())
        return cls(document["series"], document["started"])

    def slowed(self, times: int) -> Recording:
        """Return the same in a world that is so many times slower: each sample is repeated."""
        return Recording({name: _slowed(values, times) for name, values in self.series.items()}, self.started)

    def write(self, name: str) -> None:
        """Store it."""
        FOLDER.mkdir(exist_ok=True)
        document = {"started": self.started, "interval": INTERVAL_SECONDS, "series": self.series}
        (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def metrics_of_alerts() -> list[str]:
    """Return the names of all metrics that alerts read."""
    text = "\n".join(alert.expression for alert in (*cluster_alerts(ALL), *operator_alerts()))
    return sorted(set(re.findall(r"realtime_(?:server|operator)_\w+", text)))


def values_of(series: Series, start: float, length: int) -> str:
    """Return the samples in promtool's notation: `_` before the first one and after `stale`, which ends a series.

    Points in time become seconds since the start, as the time of promtool's tests begins at 0.
    """
    origin = start if series.labels["__name__"].endswith("_timestamp_seconds") else 0.0
    slots: list[str | None] = [None] * length
    for at, value in series.samples:
        index = round((at - start) / INTERVAL_SECONDS)
        if 0 <= index < length:
            slots[index] = f"{value - origin:.9g}" if value == value else "NaN"
    words, before = [], None
    for slot in slots:
        words.append(slot if slot is not None else ("_" if before is None else "stale"))
        before = slot
    return _shortened(words)


def _shortened(words: Sequence[str]) -> str:
    """Return the words with repetitions of a value as promtool abbreviates them."""
    parts: list[str] = []
    index = 0
    while index < len(words):
        end = index
        while end < len(words) and words[end] == words[index]:
            end += 1
        word, count = words[index], end - index
        if word == "_" and count > 1:
            parts.append(f"_x{count}")
        elif word not in {"_", "stale", "NaN"} and count > 2:
            parts.append(f"{word}x{count - 1}")  # the value, and so many more
        else:
            parts += [word] * count
        index = end
    return " ".join(parts)


def _slowed(values: str, times: int) -> str:
    """Repeat each sample of a text in promtool's notation."""
    words: list[str] = []
    for part in values.split():
        value, _, more = part.partition("x")
        count = int(more or "0") + (0 if value == "_" and more else 1)
        words += [value] * count * times if value != "stale" else [value, *["_"] * (times - 1)]
    return _shortened(words)


def name_of(series: Series) -> str:
    """Return the series as in PromQL."""
    labels = {key: value for key, value in series.labels.items() if key not in DROPPED_LABELS}
    return series.labels["__name__"] + "{" + ", ".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "}"


async def record(situation: Situation, starting: asyncio.Lock, seconds: float = RECORDED_SECONDS) -> Recording:
    """Record a situation from when it is there. One at a time is started, which takes a machine long enough."""
    targets = Targets()
    async with contextlib.AsyncExitStack() as stack:
        async with starting:
            await stack.enter_async_context(targets.serving())
            await stack.enter_async_context(situation(targets))
            prometheus = PrometheusProcess(targets.configuration(INTERVAL_SECONDS))
            await stack.enter_async_context(prometheus)
        started = time.time()
        await asyncio.sleep(seconds)
        found = await prometheus.query(f'{{__name__=~"{"|".join(metrics_of_alerts())}"}}[{int(seconds) + 60}s]')
    first = min(at for series in found for at, _ in series.samples)
    length = int(seconds / INTERVAL_SECONDS)
    series = {name_of(one): values_of(one, first, length) for one in found}
    return Recording(series, time.strftime("%Y-%m-%d", time.gmtime(started)))


async def main(names: Sequence[str]) -> int:
    """Record the named situations, or all; return 1 when one failed."""
    starting = asyncio.Lock()

    async def one(name: str) -> bool:
        try:
            (await record(ALL_SITUATIONS[name], starting)).write(name)
        except Exception as error:  # noqa: BLE001 - the others are recorded all the same
            print(f"{name}: {error!r}", flush=True)
            return False
        print(f"{name}: recorded", flush=True)
        return True

    with contextlib.suppress(KeyboardInterrupt):
        return 0 if all(await asyncio.gather(*map(one, names or [*ALL_SITUATIONS]))) else 1
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
