"""Tests of the alerts with recorded series of real servers and operators, by promtool.

The recordings are made by `python -m tests.kit.monitoring.recording`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.monitoring import ALL, Scope, cluster_alerts, operator_alerts, rule_group
from realtime_operator.monitoring.scraping import scrape_configs
from tests.kit.monitoring.recording import ALL_SITUATIONS, FOLDER, INTERVAL_SECONDS, RECORDED_SECONDS, Recording
from tests.kit.monitoring.targets import Targets

RULES = Path(__file__).parents[3] / "monitoring"
END_SECONDS = RECORDED_SECONDS - INTERVAL_SECONDS
TOOL_SECONDS = 60
NO_OPERATOR = "RealtimeOperatorNotLeading"
"""Fires in every recording without an operator that leads: local platforms have none either."""

EXPECTED: dict[str, set[str]] = {
    "healthy": set(),
    "healthy-rollout": set(),
    "refused-clients": {"RealtimeClientsCannotConnect"},
    "slow-redis": {"RealtimeDeliveriesLate"},
    "short-history": {"RealtimeRecoveryFailing"},
    "no-redis": {"RealtimeBackplaneDown"},
    "full-redis": {"RealtimeRedisNearLimit"},
    "full-server": {"RealtimeNoCapacity", "RealtimeLimitExceeded", "RealtimeClientsCannotConnect"},
    "silent-backend": {"RealtimeHooksFailing"},
    "open-server": {"RealtimeTokensIgnored"},
    "old-certificate": {"RealtimeCertificateExpires"},
    "held-moves": {"RealtimeHooksFailing", "RealtimeClientsCannotConnect"},  # why the moves are held
    "small-budget": {"RealtimeBudgetExhausted"},
    "new-credentials": {"RealtimeCredentialsReplaced"},
    "denied-operator": {"RealtimeNotReconciled"},
    "killed-operator": set(),
}
"""Alerts that fire during each recording, besides NO_OPERATOR."""
STUCK, DEGRADED = "RealtimeDrainStuck", "RealtimeClusterDegraded"
"""Fire after half an hour, and when moves have been held for ten minutes: later than a recording ends."""
LEADING = {"denied-operator"}
"""Recordings with an operator that leads all the time."""


def promtool(folder: Path, *arguments: str) -> str:
    """Run promtool in a folder; return its output, which a failure shows."""
    program = shutil.which("promtool")
    assert program is not None, "promtool is not installed: run `make setup`"
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def unit_test(recording: Recording, checks: list[JsonValue], rules: list[str]) -> JsonObject:
    """Return a file for `promtool test rules`."""
    series: list[JsonValue] = [{"series": name, "values": values} for name, values in recording.series.items()]
    test: JsonObject = {
        "interval": f"{INTERVAL_SECONDS}s",
        "input_series": series,
        "promql_expr_test": checks,
    }
    return {"rule_files": [*rules], "evaluation_interval": f"{INTERVAL_SECONDS}s", "tests": [test]}


def fired_until(seconds: int, names: set[str], among: str = "") -> JsonObject:
    """Return a check of the alerts that have fired until a time; `among`: of those that match this expression."""
    samples: list[JsonValue] = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)]
    alerts = f'ALERTS{{alertstate="firing",alertname=~"{among or ".*"}"}}'
    expression = f"group by (alertname) (max_over_time({alerts}[{seconds + INTERVAL_SECONDS}s]))"
    return {"expr": expression, "eval_time": f"{seconds}s", "exp_samples": samples}


def run(folder: Path, recording: Recording, checks: list[JsonValue], rules: list[str] | None = None) -> None:
    """Run a recording through rules: those of monitoring/ unless others are given."""
    given = [str(path) for path in sorted(RULES.glob("*.rules.yaml"))] if rules is None else rules
    (folder / "test.json").write_text(json.dumps(unit_test(recording, checks, given)))
    promtool(folder, "test", "rules", "test.json")


def test_the_files_are_valid() -> None:
    """As Prometheus reads them."""
    for path in sorted(RULES.glob("*.rules.yaml")):
        assert "SUCCESS" in promtool(RULES, "check", "rules", path.name)


def test_the_scrapes_are_valid(tmp_path: Path) -> None:
    """Except the discovery of pods, which Debian's Prometheus is built without."""
    (tmp_path / "scrape.json").write_text(json.dumps(Targets().discovered_by(scrape_configs())))
    assert "SUCCESS" in promtool(tmp_path, "check", "config", "--syntax-only", "scrape.json")


def test_every_situation_is_recorded_and_every_alert_has_one() -> None:
    """An alert that has never fired is no alert."""
    assert set(EXPECTED) == set(ALL_SITUATIONS) == {path.stem for path in FOLDER.glob("*.json")}
    names = {alert.name for alert in (*cluster_alerts(ALL), *operator_alerts())}
    assert set.union(*EXPECTED.values()) | {NO_OPERATOR, STUCK, DEGRADED} == names


@pytest.mark.parametrize("name", EXPECTED)
def test_the_right_alerts_fire(tmp_path: Path, name: str) -> None:
    """Those of the fault, and no others."""
    expected = EXPECTED[name] | (set() if name in LEADING else {NO_OPERATOR})
    run(tmp_path, Recording.read(name), [fired_until(END_SECONDS, expected)])


@pytest.mark.parametrize("name", ["healthy", "healthy-rollout"])
def test_no_alert_about_a_cluster_fires_while_all_is_well(tmp_path: Path, name: str) -> None:
    """Not at any time, also while a rolling update moves all clients."""
    run(tmp_path, Recording.read(name), [fired_until(END_SECONDS, set())], [str(RULES / "clusters.rules.yaml")])


@pytest.mark.parametrize(("name", "slower", "expected"), [
    ("held-moves", 3, {STUCK, DEGRADED}),
    ("small-budget", 3, set[str]()),
    ("small-budget", 12, set[str]()),  # 11 % in three hours, a twelfth of the budget
    ("healthy-rollout", 40, set[str]()),
])  # fmt: skip
def test_a_drain_is_stuck_when_nothing_moves_for_half_an_hour(
    tmp_path: Path, name: str, slower: int, expected: set[str]
) -> None:
    """However slow a rollout is, as long as it goes on: the recordings are played at a slower pace."""
    among = f"{STUCK}|{DEGRADED}"
    early, late = fired_until(25 * 60, set(), STUCK), fired_until(slower * END_SECONDS, expected, among)
    run(tmp_path, Recording.read(name).slowed(slower), [early, late])


def test_the_operator_counts_as_leading_until_it_is_gone(tmp_path: Path) -> None:
    """It is killed after a minute; the alert waits for two, as another operator may take over."""
    checks: list[JsonValue] = [fired_until(90, set()), fired_until(END_SECONDS, {NO_OPERATOR})]
    run(tmp_path, Recording.read("killed-operator"), checks, [str(RULES / "operator.rules.yaml")])


def test_the_rules_of_another_cluster_do_not_fire(tmp_path: Path) -> None:
    """Each RealtimeCluster has its own PrometheusRule."""
    for namespace, name, firing in (
        ("team", "refusing", {"RealtimeClientsCannotConnect"}),
        ("team", "other", set[str]()),
        ("other", "refusing", set[str]()),
    ):
        group = rule_group("cluster", cluster_alerts(Scope.of_cluster(namespace, name)))
        (tmp_path / "rules.json").write_text(json.dumps({"groups": [group]}))
        run(tmp_path, Recording.read("refused-clients"), [fired_until(END_SECONDS, firing)], ["rules.json"])
