"""The CustomResourceDefinition."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.schema import object_at, structural_schema
from realtime_operator.api.v1alpha1 import RealtimeCluster, RealtimeClusterSpec
from realtime_operator.api.v1alpha1_status import RealtimeClusterStatus

FILE_NAME = f"{naming.GROUP}_{naming.PLURAL}.yaml"


def build_crd() -> JsonObject:
    """Build the definition from the models."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{naming.PLURAL}.{naming.GROUP}"},
        "spec": {
            "group": naming.GROUP,
            "names": {
                "kind": naming.KIND,
                "listKind": f"{naming.KIND}List",
                "plural": naming.PLURAL,
                "singular": naming.SINGULAR,
                "shortNames": [naming.SHORT_NAME],
                "categories": ["realtime"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": naming.VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": _columns(),
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {"openAPIV3Schema": root_schema()},
                }
            ],
        },
    }


def root_schema() -> JsonObject:
    """Return the schema of the whole object; that of metadata is the API server's own."""
    root = structural_schema(RealtimeCluster, bounded=False)
    properties = object_at(root, "properties")
    documented = {name: object_at(properties, name)["description"] for name in ("spec", "status")}
    spec = structural_schema(RealtimeClusterSpec, bounded=True)
    status = structural_schema(RealtimeClusterStatus, bounded=False)
    return {
        **root,
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
            "kind": {"type": "string", "description": "Kind of this object."},
            # Declared so that a rule can refer to it; the API server defines the rest.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": {**spec, "description": documented["spec"], "default": {}},
            "status": {**status, "description": documented["status"]},
        },
        "required": ["metadata"],
    }


def _columns() -> list[JsonValue]:
    return [
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase", "description": "The conditions in one word"},
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": ".status.ready",
            "description": "Servers that new connections can reach, of those wanted",
        },
        {
            "name": "Connections",
            "type": "integer",
            "jsonPath": ".status.connections",
            "description": "Connections of all servers",
        },
        {
            "name": "Revision",
            "type": "string",
            "jsonPath": ".status.targetRevision",
            "description": "The revision that the spec asks for",
        },
        {
            "name": "Endpoint",
            "type": "string",
            "jsonPath": ".status.endpoints.client",
            "description": "Where clients connect",
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        *_wide_columns(),
    ]


def _wide_columns() -> list[JsonValue]:
    """Return the columns of `kubectl get -o wide` only."""
    columns = (
        ("Image", "string", ".status.madeWith.serverImage", "Image of the servers"),
        ("Budget", "number", ".status.budget.connectionsPerSecond", "Connections per second that are being moved"),
        ("Autoscaling", "string", ".status.autoscaling.bounds", "Fewest and most servers of the autoscaler"),
        ("Message", "string", ".status.message", "Explanation of the phase"),
    )
    return [
        {"name": name, "type": kind, "jsonPath": path, "description": description, "priority": 1}
        for name, kind, path, description in columns
    ]
