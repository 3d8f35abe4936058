"""Tests of the program that writes rule files and dashboard."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from realtime_operator.monitoring import ALL, cluster_alerts
from realtime_operator.monitoring.__main__ import main

ROOT = Path(__file__).parents[4]


def test_the_files_of_the_checkout_are_what_it_writes() -> None:
    """`make check` runs the same."""
    assert main(["--check", str(ROOT / "monitoring"), str(ROOT / "helm" / "realtime-operator")]) == 0


def test_a_difference_is_shown_and_not_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output names the command that writes the file."""
    where = [str(tmp_path / "monitoring"), str(tmp_path / "chart")]
    assert main(where) == 0
    path = tmp_path / "monitoring" / "clusters.rules.yaml"
    path.write_text(path.read_text().replace("3m", "4m"))
    assert main(["--check", *where]) == 1
    assert f"{path} is not what the alerts and panels say; run `make monitoring`." in capsys.readouterr().err
    assert "4m" in path.read_text()


def test_queries_are_kept_as_they_are(tmp_path: Path) -> None:
    """YAML does not change a query of several lines."""
    main([str(tmp_path), str(tmp_path / "chart")])
    (group,) = yaml.safe_load((tmp_path / "clusters.rules.yaml").read_text())["groups"]
    assert [rule["expr"] for rule in group["rules"]] == [alert.expression for alert in cluster_alerts(ALL)]
