"""Alert, and the rule group that Prometheus reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from realtime_operator.api.base import JsonObject, JsonValue

RUNBOOKS = "https://github.com/realtime-operator/realtime-operator/blob/main/docs/runbooks"
ABOUT = "RealtimeCluster {{ $labels.namespace }}/{{ $labels.realtime_cluster }}"
"""Beginning of a summary, as a template of Prometheus."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Alert on a symptom. `lasting` is how long the expression must hold; `runbook` is a page without its suffix."""

    name: str
    severity: Literal["critical", "warning"]
    lasting: str
    summary: str
    description: str
    runbook: str
    expression: str

    def rule(self) -> JsonObject:
        """Return the alerting rule."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}/{self.runbook}.md",
            },
        }


def rule_group(name: str, alerts: Sequence[Alert]) -> JsonObject:
    """Return the group of these alerts, as in a rule file and in a PrometheusRule."""
    rules: list[JsonValue] = [alert.rule() for alert in alerts]
    return {"name": name, "rules": rules}
