"""Writes the files of monitoring/ for those without the Prometheus operator, and what the chart has of them.

python -m realtime_operator.monitoring DIR CHART          write the rule files and the dashboard
python -m realtime_operator.monitoring --check DIR CHART  fail if a file is not what would be written
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from realtime_operator.api.base import JsonObject
from realtime_operator.monitoring import ALL, build_dashboard, cluster_alerts, operator_alerts, rule_group
from realtime_operator.monitoring.scraping import scrape_configs

HEADER = "# Generated from operator/realtime_operator/monitoring by `make monitoring`. Do not edit.\n"
CLUSTERS, OPERATOR = "realtime-clusters", "realtime-operator"
"""Names of the groups of rules."""


class _Dumper(yaml.SafeDumper):
    """YAML with long texts as blocks, so that a changed line of a query differs in one line."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def render(folder: Path, chart: Path) -> dict[Path, str]:
    """Return the text of each file, which is deterministic."""
    operator = HEADER + _yaml("groups", [rule_group(OPERATOR, operator_alerts())])
    dashboard = json.dumps(build_dashboard("realtime-operator", "Realtime"), indent=1) + "\n"
    return {
        folder / "clusters.rules.yaml": HEADER + _yaml("groups", [rule_group(CLUSTERS, cluster_alerts(ALL))]),
        folder / "operator.rules.yaml": operator,
        folder / "scrape.yaml": HEADER + _yaml("scrape_configs", scrape_configs()),
        folder / "dashboard.json": dashboard,
        chart / "files" / "operator.rules.yaml": operator,
        chart / "files" / "dashboard.json": dashboard,
    }


def _yaml(key: str, items: Sequence[JsonObject]) -> str:
    text: str = yaml.dump({key: [*items]}, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return 1 when a checked file differs."""
    parser = argparse.ArgumentParser(prog="monitoring", description="Generate the rule files and the dashboard.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the files for any Prometheus")
    parser.add_argument("chart", type=Path, metavar="CHART", help="folder of the Helm chart")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    options = parser.parse_args(arguments)
    files = render(options.folder, options.chart)
    if options.check:
        wrong = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
        for path in wrong:
            sys.stderr.write(f"{path} is not what the alerts and panels say; run `make monitoring`.\n")
        return 1 if wrong else 0
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
