"""From results to Markdown and plots."""

from __future__ import annotations

from pathlib import Path
from xml.dom.minidom import parseString

import pytest
from bench.measured import Measured
from bench.report import markdown, plots, read, write
from bench.results import Run

from tests.unit.bench.results_kit import late, measured, run_of, scenario


def full_run() -> Run:
    """One scenario of every kind."""
    return run_of(
        scenario("fan-out-1000", {"C floor": measured(200_000), "ws": measured(100_000, load_cpu=0.99)}),
        scenario("memory", {"ws": Measured(10, memory=61_440), "C floor": Measured(10, memory=1024)}, kind="memory"),
        scenario("latency", {"ws": late(1_500, 9_000), "C floor": late(500, 2_000)}, kind="latency"),
        scenario("cost-10", {"ws": measured(100_000)}, kind="cost", clients=10),
        scenario("cost-100", {"ws": measured(200_000)}, kind="cost", clients=100),
        failures=("inbound, round 1: ws: the server closes client 3 with code 1006",),
    )


@pytest.mark.parametrize(
    "line",
    [
        "| ws | 0.50 (0.50 to 0.50) | 100,000 | 100,000 | 100% | 99% (saturated) |",
        "| ws | 6.0 (6.0 to 6.0) |",
        "| ws | 1.5 (1.5 to 1.5) | 9.0 (9.0 to 9.0) | 18.0 | 1,000 | 50% | 50% |",
        "| server, µs of CPU time per delivery | 10 | 100 |",
        "| ws | 10.0 | 5.0 |",
        "- **ws**: 8",
        "- Centrifuge is left out: Go is not installed.",
        "- Failed: inbound, round 1: ws: the server closes client 3 with code 1006",
        "| Memory per idle connection | 4 KB or less | not measured | - |",
        "Raw results: [raw/2026-01-02.json](raw/2026-01-02.json)",
    ],
)
def test_the_report_has(line: str) -> None:
    """One line of every table, what was left out, and what failed."""
    assert line in markdown(full_run()).splitlines()


def test_another_commit_is_compared_within_each_round() -> None:
    """A slow round of the machine changes nothing."""
    rounds = [
        {"C floor": measured(1000), "realtime-server": measured(90), "realtime-server, before": measured(100)},
        {"C floor": measured(500), "realtime-server": measured(55), "realtime-server, before": measured(50)},
        {"C floor": measured(500), "realtime-server": measured(50), "realtime-server, before": measured(50)},
    ]
    text = markdown(run_of(scenario("storm", *rounds)))
    assert "| Title of storm | 1.00 (0.90 to 1.10) |" in text.splitlines()
    assert "now / before" not in markdown(full_run())


def test_the_table_names_what_its_ratios_are_to() -> None:
    """The floor, or another server."""
    other = scenario("socket-io", {"Socket.IO": measured(100), "ws": measured(250)}, reference="Socket.IO")
    text = markdown(run_of(other, scenario("inbound", {"C floor": measured(100)})))
    heads = "deliveries per CPU-second | per second | server busy | load busy |"
    assert f"| server | ratio to Socket.IO | {heads}\n| --- | --- | --- | --- | --- | --- |\n| ws | 2.50 " in text
    assert f"| server | ratio to the floor | {heads}" in text


def test_the_best_comes_first() -> None:
    """Most work, or least memory and latency."""
    text = markdown(full_run())
    for title in ("Title of fan-out-1000", "Title of memory", "Title of latency"):
        section = text.partition(f"## {title}")[2].partition("\n## ")[0]
        assert section.index("| C floor ") < section.index("| ws ")


def test_a_quick_run_says_so() -> None:
    """Its figures are not to be quoted."""
    assert "quick run" in markdown(run_of(quick=True))
    assert "quick run" not in markdown(run_of())


def test_every_plot_that_is_shown_is_there() -> None:
    """And every one is a document."""
    drawn, text = plots(full_run()), markdown(full_run())
    assert sorted(drawn) == ["cost.svg", "fan-out-1000.svg", "latency.svg", "memory.svg"]
    for name, svg in drawn.items():
        assert f"]({name})" in text
        parseString(svg)  # noqa: S318 - our own


def test_raw_results_give_the_same_report(tmp_path: Path) -> None:
    """So that a report can be written again without measuring."""
    write(tmp_path, full_run())
    again = read(tmp_path / "raw" / "2026-01-02.json")
    assert again == full_run()
    assert (tmp_path / "README.md").read_text() == markdown(again)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """With an error that says where."""
    (tmp_path / "x.json").write_text('{"day": 1}')
    with pytest.raises(ValueError, match=r"\$\.day"):
        read(tmp_path / "x.json")
