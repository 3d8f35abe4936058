"""All objects of a cluster, in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.credentials_secret import build_credentials_secret
from realtime_operator.builders.monitoring.dashboard_config_map import build_dashboard_config_map
from realtime_operator.builders.monitoring.pod_monitor import build_pod_monitor, build_redis_pod_monitor
from realtime_operator.builders.monitoring.prometheus_rule import build_prometheus_rule
from realtime_operator.builders.network_policy import build_egress_policy, build_ingress_policy
from realtime_operator.builders.optional_kinds import Kind, is_served
from realtime_operator.builders.redis.disruption_budget import build_redis_disruption_budget
from realtime_operator.builders.redis.network_policy import build_redis_network_policy
from realtime_operator.builders.redis.secret import build_redis_secret
from realtime_operator.builders.redis.service import build_redis_nodes_service, build_redis_service
from realtime_operator.builders.redis.stateful_set import build_redis_stateful_set
from realtime_operator.builders.servers.disruption_budget import build_disruption_budget
from realtime_operator.builders.service_account import build_service_account
from realtime_operator.builders.services.admin_service import build_admin_service
from realtime_operator.builders.services.api_service import build_api_service
from realtime_operator.builders.services.certificates import build_certificates
from realtime_operator.builders.services.client_service import build_client_service
from realtime_operator.builders.services.ingress import build_ingress
from realtime_operator.builders.services.route import build_route
from realtime_operator.builders.settings import BuildSettings, SecretTemplate


def build_secrets(cluster: RealtimeCluster) -> tuple[SecretTemplate, ...]:
    """The Secrets whose values are generated; they are ensured before anything else is applied."""
    templates = (build_credentials_secret(cluster), build_redis_secret(cluster))
    return tuple(template for template in templates if template is not None)


def build_shared(
    cluster: RealtimeCluster,
    settings: BuildSettings,
    secrets: Mapping[str, Mapping[str, str]],
    unserved: Collection[Kind] = (),
) -> tuple[JsonObject, ...]:
    """Build the objects that all revisions share, in the order in which they are applied.

    `secrets` maps each existing Secret to the SHA-256 of the value of each of its keys. The managed Redis is left out
    until its password exists. Of the kinds `unserved` only those objects are built that the spec always wants.
    """
    manifests = (
        build_service_account(cluster),
        build_ingress_policy(cluster, settings),
        build_egress_policy(cluster),
        build_redis_network_policy(cluster),
        build_redis_service(cluster),
        build_redis_nodes_service(cluster),
        build_redis_disruption_budget(cluster),
        build_redis_stateful_set(cluster, settings, secrets),
        build_client_service(cluster),
        build_api_service(cluster),
        build_admin_service(cluster),
        *build_certificates(cluster),
        build_ingress(cluster),
        build_route(cluster),
        build_disruption_budget(cluster),
        *_monitoring(cluster, unserved),
    )
    return tuple(manifest for manifest in manifests if manifest is not None)


def _monitoring(cluster: RealtimeCluster, unserved: Collection[Kind]) -> Iterator[JsonObject]:
    """Yield the objects for Prometheus and Grafana."""
    monitoring = cluster.spec.monitoring
    if monitoring is None:
        return
    wanted = (
        (monitoring.pod_monitor.create, build_pod_monitor),
        (monitoring.pod_monitor.create, build_redis_pod_monitor),
        (monitoring.prometheus_rule.create, build_prometheus_rule),
        (monitoring.dashboard.create, build_dashboard_config_map),
    )
    for create, build in wanted:
        manifest = build(cluster)
        if manifest is not None and (create == "Always" or (create == "IfServed" and is_served(manifest, unserved))):
            yield manifest
