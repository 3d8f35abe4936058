"""The report of a run in `docs/performance/`: Markdown and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import msgspec

from bench.chart import Bar, Line, bars, lines
from bench.generator import DATA_BYTES
from bench.goals import verdicts
from bench.measured import Measured
from bench.peers import FLOOR, FLOOR_JOINED, OURS, OURS_BEFORE
from bench.results import SATURATED, Run, ScenarioResults, Spread, beside, names, of, ratio, spread

COST = "cost"
QUICK = """
**This was a quick run, with a tenth of the connections that the titles say: it only shows that everything runs.**
"""
REMARKS = """\
- Centrifuge is the library inside Centrifugo, with its own WebSocket handler and brokers, in a program of 130 lines
  (`bench/servers/centrifuge/`). Centrifugo itself, which adds configuration on top, is not built: the module proxy
  did not serve its module when this was written.
- uWebSockets.js is not compared: npm does not carry it, only copies that others than its authors have published.
- `ws`, `websockets` and Socket.IO get a server that is as small as the library allows (`bench/servers/`), without
  compression. The server of this repository runs as it is deployed: limits, metrics, admin API."""
_WRITTEN_BY = "<!-- Written by `make bench`: do not edit. -->"


def write(folder: Path, run: Run) -> None:
    """Write README.md with its plots, and the measurements in raw/."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(markdown(run))
    for name, svg in plots(run).items():
        (folder / name).write_text(svg)
    (folder / "raw" / f"{run.day}.json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


def read(path: Path) -> Run:
    """Read the measurements that `write` has put into raw/; raises ValueError for other content."""
    return msgspec.json.decode(path.read_bytes(), type=Run)


def markdown(run: Run) -> str:
    """Render the whole report."""
    parts = [_introduction(run), _goals(run), *_before(run)]
    parts += [_section(scenario) for scenario in run.scenarios if scenario.kind != COST]
    costs = [scenario for scenario in run.scenarios if scenario.kind == COST]
    if costs:
        parts.append(_costs(costs))
    parts.append(_remarks(run))
    return "\n\n".join(parts) + "\n"


def plots(run: Run) -> dict[str, str]:
    """Return the plots as SVG documents by file name."""
    found = {f"{one.key}.svg": _plot(one) for one in run.scenarios if one.kind != COST}
    costs = [scenario for scenario in run.scenarios if scenario.kind == COST]
    if costs:
        found["cost.svg"] = _cost_plot(costs)
    return found


def _introduction(run: Run) -> str:
    compared = "\n".join(f"- **{name}**: {text}" for name, text in run.versions.items())
    return f"""{_WRITTEN_BY}
# Performance
{QUICK if run.quick else ""}
The server beside others that do the same job, measured in one run on {run.day}.

- Every server has one core to itself, the load generator (`bench/load/`, in C) another.
  They take turns, {run.rounds} rounds, each started anew for every measurement; the order changes with every round.
- A **ratio** is work per second of the server's CPU time, relative to the **C floor** (`bench/floor/`) in the same
  round. The floor does nothing but what the kernel makes a server do: what it leaves is what there is to gain.
  Where the head of the column names another server, the ratio is relative to that one.
- Given are the median of the rounds and, in brackets, the lowest and the highest.
- Data of a publication: {DATA_BYTES} bytes of JSON. All speak Centrifugo's client protocol in JSON, Socket.IO its own.
  A name after a comma is that of another protocol or setting of the same server.
- Compare ratios, not absolute figures: those belong to this machine ({run.machine}).
- "Busy" is the part of the time in which the server or the load generator used its core. A load generator at more than
  {SATURATED:.0%} is marked: then figures per second are too low, ratios still hold.

[How it is measured](method.md) says what each scenario does, and how to run it.

Compared are:

{compared}"""


def _goals(run: Run) -> str:
    rows = []
    for one in verdicts(run):
        verdict = {True: "reached", False: "**not reached**", None: "-"}[None if run.quick else one.met]
        rows.append([one.scenario, one.goal, one.reached, verdict])
    why = "[Where the time goes](profile.md) says why, where a goal was not reached."
    return f"## Goals\n\n{table(['', 'goal', 'reached', 'verdict'], rows)}\n\n{why}"


def _before(run: Run) -> list[str]:
    """The section about another commit's server; none where it was not measured."""
    rows = []
    for scenario in run.scenarios:
        found = beside(scenario, OURS, OURS_BEFORE) if scenario.kind == "throughput" else None
        if found is not None:
            rows.append([scenario.title, f"{found.middle:.2f} ({found.lowest:.2f} to {found.highest:.2f})"])
    if not rows:
        return []
    commit = run.versions.get(OURS_BEFORE, "")
    explanation = "Work per CPU-second of the server as it is, relative to that of the other commit in the same round."
    return [f"## Beside the server {commit}\n\n{explanation}\n\n{table(['', 'now / before'], rows)}"]


def _section(scenario: ScenarioResults) -> str:
    build: Callable[[ScenarioResults], str] = {"memory": _memory, "latency": _latency}.get(scenario.kind, _throughput)
    explanation = f"{scenario.explanation}\n\n" if scenario.explanation else ""
    plot = f"![{scenario.title}]({scenario.key}.svg)"
    return f"## {scenario.title}\n\n{explanation}{build(scenario)}\n\n{plot}"


def _throughput(scenario: ScenarioResults) -> str:
    rows = []
    for name in sorted(names(scenario), key=lambda name: -_middle(scenario, name)):
        measured, found = of(scenario, name), ratio(scenario, name)
        text = "-" if found is None else f"{found.middle:.2f} ({found.lowest:.2f} to {found.highest:.2f})"
        rows.append(
            [
                name,
                text,
                f"{median(one.per_cpu_second for one in measured):,.0f}",
                f"{median(one.per_second for one in measured):,.0f}",
                *_shares(measured),
            ]
        )
    counted = scenario.counted
    heads = [
        "server",
        f"ratio to {_reference(scenario)}",
        f"{counted} per CPU-second",
        "per second",
        "server busy",
        "load busy",
    ]
    return table(heads, rows)


def _reference(scenario: ScenarioResults) -> str:
    return "the floor" if scenario.reference in {FLOOR, FLOOR_JOINED} else scenario.reference


def _latency(scenario: ScenarioResults) -> str:
    rows = []
    for name in sorted(names(scenario), key=lambda name: _p99(scenario, name)):
        measured = of(scenario, name)
        latencies = [one.latency for one in measured if one.latency is not None]
        if latencies:
            columns = [[one.p50 for one in latencies], [one.p99 for one in latencies]]
            texts = [_milliseconds(values) for values in columns]
            highest = f"{max(one.highest for one in latencies) / 1000:.1f}"
            delivered = f"{median(one.per_second for one in measured):,.0f}"
            rows.append([name, *texts, highest, delivered, *_shares(measured)])
    return table(["server", "p50, ms", "p99, ms", "highest, ms", "deliveries/s", "server busy", "load busy"], rows)


def _memory(scenario: ScenarioResults) -> str:
    rows = []
    for name in sorted(names(scenario), key=lambda name: _bytes(scenario, name)):
        found = spread([one.bytes_per_connection / 1024 for one in of(scenario, name)])
        assert found is not None
        rows.append([name, f"{found.middle:.1f} ({found.lowest:.1f} to {found.highest:.1f})"])
    return table(["server", "KB per connection"], rows)


def _costs(scenarios: Sequence[ScenarioResults]) -> str:
    peers = list(dict.fromkeys(name for scenario in scenarios for name in names(scenario)))
    heads = ["server, µs of CPU time per delivery", *(f"{scenario.clients:,}" for scenario in scenarios)]
    rows = []
    for name in peers:
        found = [_cost(scenario, name) for scenario in scenarios]
        rows.append([name, *("-" if cost is None else f"{cost:.1f}" for cost in found)])
    title, explanation = scenarios[0].title, scenarios[0].explanation
    return f"## {title}\n\n{explanation}\n\n{table(heads, rows)}\n\n![{title}](cost.svg)"


def _remarks(run: Run) -> str:
    listed = [REMARKS, *(f"- {notice}." for notice in run.notices), *(f"- Failed: {one}" for one in run.failures)]
    remarks = "\n".join(listed)
    return f"## Remarks\n\n{remarks}\n\nRaw results: [raw/{run.day}.json](raw/{run.day}.json)"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def _shares(measured: Sequence[Measured]) -> list[str]:
    load = median(one.load_share for one in measured)
    mark = " (saturated)" if load > SATURATED else ""
    return [f"{median(one.server_share for one in measured):.0%}", f"{load:.0%}{mark}"]


def _milliseconds(microseconds: Sequence[float]) -> str:
    found = spread([value / 1000 for value in microseconds])
    assert found is not None
    return f"{found.middle:.1f} ({found.lowest:.1f} to {found.highest:.1f})"


def _middle(scenario: ScenarioResults, name: str) -> float:
    found = ratio(scenario, name)
    return 0.0 if found is None else found.middle


def _p99(scenario: ScenarioResults, name: str) -> float:
    return median([one.latency.p99 for one in of(scenario, name) if one.latency is not None] or [0.0])


def _bytes(scenario: ScenarioResults, name: str) -> float:
    return median(one.bytes_per_connection for one in of(scenario, name))


def _cost(scenario: ScenarioResults, name: str) -> float | None:
    found = spread([one.cpu_microseconds for one in of(scenario, name)])
    return None if found is None else found.middle


def _plot(scenario: ScenarioResults) -> str:
    if scenario.kind == "memory":
        found = {
            name: spread([one.bytes_per_connection / 1024 for one in of(scenario, name)]) for name in names(scenario)
        }
        return bars(scenario.title, "KB per connection, less is better", _bars(found, smallest_first=True))
    if scenario.kind == "latency":
        p99 = {
            name: spread([one.latency.p99 / 1000 for one in of(scenario, name) if one.latency is not None])
            for name in names(scenario)
        }
        return bars(scenario.title, "p99 in ms, less is better", _bars(p99, smallest_first=True))
    ratios = {name: ratio(scenario, name) for name in names(scenario)}
    axis = f"{scenario.counted} per CPU-second, as a ratio to {_reference(scenario)}; more is better"
    return bars(scenario.title, axis, _bars(ratios, smallest_first=False))


def _bars(found: dict[str, Spread | None], *, smallest_first: bool) -> list[Bar]:
    drawn = [Bar(name, one.middle, one.lowest, one.highest) for name, one in found.items() if one is not None]
    return sorted(drawn, key=lambda bar: bar.value if smallest_first else -bar.value)


def _cost_plot(scenarios: Sequence[ScenarioResults]) -> str:
    peers = list(dict.fromkeys(name for scenario in scenarios for name in names(scenario)))
    drawn = []
    for name in peers:
        points = [(float(one.clients), cost) for one in scenarios if (cost := _cost(one, name)) is not None]
        drawn.append(Line(name, points))
    return lines(scenarios[0].title, "subscribers", "µs of CPU time per delivery", drawn, logarithmic=True)
