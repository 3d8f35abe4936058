"""Builds manifests: one file per Kubernetes object, pure; None means that the object is not wanted.

The order in which objects are applied: generated Secrets first, every pod mounts them; then the ServiceAccount, without
which no pod is created; the Redis, which the servers wait for; the Services and the disruption budget, which need no
pod; and last a revision, its ConfigMap before its ReplicaSet.

Everything is written in the form in which the API server returns it, so that a manifest is contained in its live
object right after it was applied: planning takes any difference for an edit by somebody else.
"""

from __future__ import annotations

from realtime_operator.api.references import Reference, references
from realtime_operator.builders.build import build_secrets, build_shared
from realtime_operator.builders.cluster_pods import check_pods
from realtime_operator.builders.common_metadata import with_common_metadata
from realtime_operator.builders.redis.secret import build_redis_certificate_secret
from realtime_operator.builders.redis.service import redis_hosts
from realtime_operator.builders.redis.trial_pod import build_redis_trial_pod
from realtime_operator.builders.servers.revision import Revision, build_revision
from realtime_operator.builders.services.canary_traffic import CanaryTraffic, with_canary_traffic
from realtime_operator.builders.settings import BuildSettings, SecretTemplate

__all__ = [
    "BuildSettings",
    "CanaryTraffic",
    "Reference",
    "Revision",
    "SecretTemplate",
    "build_redis_certificate_secret",
    "build_redis_trial_pod",
    "build_revision",
    "build_secrets",
    "build_shared",
    "check_pods",
    "redis_hosts",
    "references",
    "with_canary_traffic",
    "with_common_metadata",
]
