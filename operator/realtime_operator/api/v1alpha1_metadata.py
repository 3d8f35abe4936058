"""Labels and annotations of children, and those that are reserved for the operator."""

from __future__ import annotations

from pydantic import Field

from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import Annotations, Labels

RESERVED_LABELS_RULE = (
    "!has(self.labels) || self.labels.all(key, !key.startsWith('realtime.dev/') && !(key in ['app.kubernetes.io/name',"
    " 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by']))"
)
RESERVED_LABELS_MESSAGE = (
    "labels that begin with realtime.dev/, and app.kubernetes.io/name, instance, component and managed-by,"
    " are reserved for the operator"
)
RESERVED_ANNOTATIONS_RULE = "!has(self.annotations) || self.annotations.all(key, !key.startsWith('realtime.dev/'))"
RESERVED_ANNOTATIONS_MESSAGE = "annotations that begin with realtime.dev/ are reserved for the operator"
RESERVED_LABELS = frozenset(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "managed-by"))


def is_reserved(key: str) -> bool:
    """Return True when a label or annotation belongs to the operator."""
    return key.startswith("realtime.dev/") or key in RESERVED_LABELS


class CommonMetadata(Model):
    """Labels and annotations of every object that the operator creates for a cluster."""

    labels: Labels = Field(default_factory=dict)
    """Labels added to every object, but not to the pods."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to every object, but not to the pods."""

    @rule(RESERVED_LABELS_RULE, RESERVED_LABELS_MESSAGE, field="labels")
    def _labels_are_free(self) -> bool:
        return not any(is_reserved(key) for key in self.labels)

    @rule(RESERVED_ANNOTATIONS_RULE, RESERVED_ANNOTATIONS_MESSAGE, field="annotations")
    def _annotations_are_free(self) -> bool:
        return not any(key.startswith("realtime.dev/") for key in self.annotations)
