"""Models of the part of the spec by which clients reach the servers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import Annotations


class ClientService(Model):
    """Service that clients connect to."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service, as in a Service."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the Service, for example for load balancers and DNS."""

    @rule(
        "!has(self.annotations) || self.annotations.all(key, !key.startsWith('realtime.dev/'))",
        "annotations that begin with realtime.dev/ are reserved for the operator",
        field="annotations",
    )
    def _annotations_are_free(self) -> bool:
        return not any(key.startswith("realtime.dev/") for key in self.annotations)


class Endpoint(Model):
    """Access for clients."""

    service: ClientService = ClientService()
    """Service that clients connect to."""
