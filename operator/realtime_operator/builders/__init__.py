"""Builds manifests: one file per Kubernetes object, pure; None means that the object is not wanted.

The order in which objects are applied: what a pod needs to start (ServiceAccount, the managed Redis) and what needs no
pod (Services) come before the pods; generated Secrets are ensured before all of them, the ConfigMap of a revision is
applied before its ReplicaSet.

Everything is written in the form in which the API server returns it, so that a manifest is contained in its live
object right after it was applied: planning takes any difference for an edit by somebody else.
"""

from __future__ import annotations

from realtime_operator.builders.references import Reference, references
from realtime_operator.builders.revision import Revision
from realtime_operator.builders.settings import BuildSettings, SecretTemplate

__all__ = ["BuildSettings", "Reference", "Revision", "SecretTemplate", "references"]
