"""Scope of a query: the clusters whose series it selects."""

from __future__ import annotations

from dataclasses import dataclass

LABEL_CLUSTER = "realtime_cluster"
LABEL_NAMESPACE = "namespace"
BY_CLUSTER = f"by ({LABEL_NAMESPACE}, {LABEL_CLUSTER})"
ON_CLUSTER = f"on ({LABEL_NAMESPACE}, {LABEL_CLUSTER})"


def by(*labels: str) -> str:
    """Return the clause that aggregates by cluster and further labels."""
    return f"by ({', '.join((LABEL_NAMESPACE, LABEL_CLUSTER, *labels))})"


@dataclass(frozen=True, slots=True)
class Scope:
    """Matchers that all selectors of a query get."""

    matchers: tuple[str, ...] = ()

    @classmethod
    def of_cluster(cls, namespace: str, name: str) -> Scope:
        """Return the scope of one cluster."""
        return cls((f'{LABEL_NAMESPACE}="{namespace}"', f'{LABEL_CLUSTER}="{name}"'))

    def __call__(self, metric: str, *matchers: str) -> str:
        """Return the selector of a metric."""
        both = ",".join((*matchers, *self.matchers))
        return f"{metric}{{{both}}}" if both else metric


ALL = Scope()
