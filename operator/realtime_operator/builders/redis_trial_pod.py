"""The trial pod of a changed managed Redis, which runs beside the serving one."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.manifest import object_of, with_applied_hash


def build_redis_trial_pod(stateful_set: JsonObject) -> JsonObject:
    """Build the pod from the wanted StatefulSet: the same pod with an empty volume, behind no Service.

    Equal pods have an equal ANNOTATION_APPLIED.
    """
    spec = object_of(stateful_set["spec"])
    template = object_of(object_of(spec["template"])["spec"])
    live = object_of(stateful_set["metadata"])
    labels = {**object_of(live["labels"]), naming.LABEL_COMPONENT: naming.COMPONENT_REDIS_TRIAL}
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{live['name']}-trial",
                "namespace": live["namespace"],
                "labels": labels,
                "ownerReferences": live["ownerReferences"],
            },
            "spec": template,
        }
    )
