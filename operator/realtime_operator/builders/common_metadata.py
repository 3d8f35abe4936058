"""Labels and annotations of the spec on every object of a cluster."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at
from realtime_operator.api.v1alpha1_metadata import CommonMetadata
from realtime_operator.builders.manifest import digest


def with_common_metadata(manifest: JsonObject, common: CommonMetadata) -> JsonObject:
    """Return the manifest with the labels and annotations that all objects get; its own ones win.

    They are added to an object as it is applied, after its record was made: a change of them changes the metadata of
    existing objects and nothing else. They are part of the applied hash, so that removed ones are removed. A manifest
    without an applied hash stands for an object that is kept as it is.
    """
    metadata = object_at(manifest, "metadata")
    annotations = object_at(metadata, "annotations")
    if naming.ANNOTATION_APPLIED not in annotations or not (common.labels or common.annotations):
        return manifest
    seal = digest([annotations[naming.ANNOTATION_APPLIED], {**common.labels}, {**common.annotations}])[:16]
    return {
        **manifest,
        "metadata": {
            **metadata,
            "labels": {**common.labels, **object_at(metadata, "labels")},
            "annotations": {**common.annotations, **annotations, naming.ANNOTATION_APPLIED: seal},
        },
    }
