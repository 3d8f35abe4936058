"""The trial pod of a changed managed Redis, which runs beside the serving one."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import objects_at
from realtime_operator.builders.manifest import object_of, with_applied_hash
from realtime_operator.builders.redis.volume import POD_VOLUME


def build_redis_trial_pod(stateful_set: JsonObject) -> JsonObject:
    """Build the pod from the wanted StatefulSet: the same pod with an empty volume, behind no Service.

    It has the labels and annotations of the spec, by which admission webhooks and network policies treat it alike.

    Equal pods have an equal ANNOTATION_APPLIED.
    """
    spec = object_of(stateful_set["spec"])
    template = object_of(spec["template"])
    made = object_of(template["metadata"])
    live = object_of(stateful_set["metadata"])
    labels = {
        **object_of(made["labels"]),
        **object_of(live["labels"]),
        naming.LABEL_COMPONENT: naming.COMPONENT_REDIS_TRIAL,
    }
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{live['name']}-trial",
                "namespace": live["namespace"],
                "labels": {**labels, naming.LABEL_COMPONENT: naming.COMPONENT_REDIS_TRIAL},
                "annotations": made.get("annotations", {}),
                "ownerReferences": live["ownerReferences"],
            },
            "spec": {**object_of(template["spec"]), "volumes": _volumes(object_of(template["spec"]))},
        }
    )


def _volumes(template: JsonObject) -> list[JsonValue]:
    """Return the volumes with one for the data, which a persistent Redis gets from its StatefulSet."""
    volumes: list[JsonValue] = [*objects_at(template, "volumes")]
    return volumes if POD_VOLUME in volumes else [*volumes, POD_VOLUME]
