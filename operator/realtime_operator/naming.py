"""Names, labels, annotations and ports that more than one module must agree on.

Names of children are derived from the cluster's name alone, so that every leader finds them. A cluster name has at most
40 characters (checked by the CRD): derived names stay below Kubernetes' limit of 63.
"""

from __future__ import annotations

GROUP = "realtime.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "RealtimeCluster"
PLURAL = "realtimeclusters"
SINGULAR = "realtimecluster"
SHORT_NAME = "rtc"
MONITORING_API_VERSION = "monitoring.coreos.com/v1"
"""Of the Prometheus operator's kinds."""
FIELD_MANAGER = "realtime-operator"

MAX_CLUSTER_NAME_LENGTH = 40

# labels
LABEL_CLUSTER = f"{GROUP}/cluster"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_SERVING = f"{GROUP}/serving"
"""On server pods: "true" puts the pod behind the client Service; the operator sets "false" to quiesce it."""
LABEL_OPERATOR = f"{GROUP}/operator"
"""On the operator's pods: "true", by which NetworkPolicies of clusters let them reach the admin port."""
LABEL_NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""On every namespace: its name, set by the API server."""
LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_DASHBOARD = "grafana_dashboard"
"""On ConfigMaps: "1" is what the sidecar of Grafana's chart looks for."""
APPLICATION = "realtime-cluster"
MANAGED_BY = "realtime-operator"
COMPONENT_SERVER = "server"
COMPONENT_REDIS = "redis"
COMPONENT_REDIS_TRIAL = "redis-trial"
"""Label value of the pod in which a changed Redis is tried; no Service selects it."""

# annotations
ANNOTATION_APPLIED = f"{GROUP}/applied"
"""On every child: hash of the last applied manifest, so that an unchanged one is not applied again."""
ANNOTATION_SPEC = f"{GROUP}/spec"
"""On ReplicaSets and the managed Redis: hash of the part of the spec that they were made from."""
ANNOTATION_MANIFEST = f"{GROUP}/manifest"
"""On ReplicaSets and the managed Redis: the applied manifests (JSON), from which a later operator repairs them."""
ANNOTATION_OPERATOR_VERSION = f"{GROUP}/operator-version"
"""On ReplicaSets and the managed Redis: the release of the operator that made them."""
ANNOTATION_QUIESCED_AT = f"{GROUP}/quiesced-at"
"""On server pods: time at which the pod was taken out of the endpoints, RFC 3339 in UTC."""
ANNOTATION_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
ANNOTATION_DRAIN = f"{GROUP}/drain"
"""On server pods: "requested" asks the operator to drain this server and to replace it."""
ANNOTATION_EVICTION = f"{GROUP}/eviction-requested-at"
"""On server pods: time at which an eviction was first held, RFC 3339 in UTC."""
ANNOTATION_PAUSED = f"{GROUP}/paused"
"""On the operator's Lease: any text but "false" pauses the whole operator; the text is the reason."""
ANNOTATION_ROLLOUT_PRIORITY = f"{GROUP}/rollout-priority"
"""On RealtimeClusters: a whole number; of several that wait for a rollout by the operator the highest is next."""
ANNOTATION_ROTATE = f"{GROUP}/rotate-credentials"
"""On RealtimeClusters: each new value, for example a time, asks for a rotation of the generated credentials."""
ANNOTATION_ROTATION = f"{GROUP}/rotation"
"""On the Secret of the generated credentials: the state of the rotation (JSON): planning/credentials/rotation.py."""
ANNOTATION_CERTIFICATE = f"{GROUP}/certificate"
"""On the Secret of the generated certificate of Redis: what is in it (JSON), see planning/redis/certificate.py."""
ANNOTATION_CHECKSUM = f"{GROUP}/checksum"
"""On the template of a managed Redis of an earlier release: hash of its password, which it reads at its start only."""

# ports of a server pod; realtime_server.settings has the same numbers (tests/contract)
PORT_CLIENT = 8000
PORT_API = 8001
PORT_ADMIN = 8002
PORT_REDIS = 6379
PORT_SENTINEL = 26379
PORT_EXPORTER = 9121
PORT_DNS = 53
CLIENT_PATH = "/connection/websocket"
PORT_NAME_CLIENT = "client"
PORT_NAME_API = "api"
PORT_NAME_ADMIN = "admin"
PORT_NAME_REDIS = "redis"
PORT_NAME_SENTINEL = "sentinel"
PORT_NAME_EXPORTER = "metrics"

# files in a server pod
CONFIG_DIRECTORY = "/etc/realtime/config"
CONFIG_FILE = "config.json"
CREDENTIALS_DIRECTORY = "/etc/realtime/credentials"
TOKENS_DIRECTORY = "/etc/realtime/tokens"
HOOKS_DIRECTORY = "/etc/realtime/hooks"
TRACING_DIRECTORY = "/etc/realtime/tracing"
BROKERS_DIRECTORY = "/etc/realtime/brokers"
REDIS_CREDENTIALS_DIRECTORY = "/etc/realtime/redis"
REDIS_TLS_DIRECTORY = "/etc/realtime/redis-tls"
TLS_DIRECTORY = "/etc/realtime/tls"
API_TLS_DIRECTORY = "/etc/realtime/api-tls"

# keys of the generated Secrets
KEY_API = "api-key"
KEY_TOKEN_SECRET = "token-secret"  # noqa: S105 - the name of a key, not a secret
KEY_ADMIN_TOKEN = "admin-token"  # noqa: S105 - the name of a key, not a secret
KEY_REDIS_PASSWORD = "password"  # noqa: S105 - the name of a key, not a secret
KEY_EXPORTER_PASSWORD = "exporter-password"  # noqa: S105 - the name of a key, not a secret

# the managed Redis
REDIS_MASTER = "main"
"""Name of the primary at the sentinels."""
VOLUME_REDIS_DATA = "data"

_ALTERNATE = "-alternate"


def alternate(key: str) -> str:
    """Key of the second value of a credential, which servers accept too: the coming or the former one."""
    return f"{key}{_ALTERNATE}"


def is_alternate(key: str) -> bool:
    """Return True for the key of a second value."""
    return key.endswith(_ALTERNATE)


# environment of a server pod
ENV_CONFIG = "REALTIME_CONFIG"
ENV_SERVER_NAME = "REALTIME_SERVER_NAME"
ENV_REVISION = "REALTIME_REVISION"
ENV_LOG_LEVEL = "LOG_LEVEL"
ENV_LOG_FORMAT = "LOG_FORMAT"


def revision_object(cluster: str, revision: str) -> str:
    """Name of the ReplicaSet and of the ConfigMap of a revision."""
    return f"{cluster}-{revision}"


def client_service(cluster: str) -> str:
    """Name of the Service that clients connect to."""
    return cluster


def current_service(cluster: str) -> str:
    """Name of the Service over the servers of the current revision, for the route of a canary."""
    return f"{cluster}-current"


def canary_service(cluster: str) -> str:
    """Name of the Service over the servers of a revision that is tried, for the route of a canary."""
    return f"{cluster}-canary"


def ingress(cluster: str) -> str:
    """Name of the Ingress in front of the client Service."""
    return cluster


def route(cluster: str) -> str:
    """Name of the HTTPRoute or TLSRoute to the client Service."""
    return cluster


def certificate(cluster: str) -> str:
    """Name of the Certificate of the client port."""
    return f"{cluster}-tls"


def ingress_certificate(cluster: str) -> str:
    """Name of the Certificate of the Ingress."""
    return f"{cluster}-ingress-tls"


def api_certificate(cluster: str) -> str:
    """Name of the Certificate of the API port."""
    return f"{cluster}-api-tls"


def redis_certificate(cluster: str) -> str:
    """Name of the Certificate of the managed Redis, and of the Secret with the one that the operator makes."""
    return f"{cluster}-redis-tls"


def api_service(cluster: str) -> str:
    """Name of the Service of the HTTP server API."""
    return f"{cluster}-api"


def admin_service(cluster: str) -> str:
    """Name of the headless Service over the admin ports of all servers, ready or not."""
    return f"{cluster}-admin"


def credentials_secret(cluster: str) -> str:
    """Name of the Secret with the generated API key, token secret and admin token."""
    return f"{cluster}-credentials"


def redis(cluster: str) -> str:
    """Name of the StatefulSet, Service and password Secret of the managed Redis."""
    return f"{cluster}-redis"


def redis_nodes(cluster: str) -> str:
    """Name of the headless Service that gives each pod of a Redis with failover a host name."""
    return f"{cluster}-redis-nodes"


def redis_claim_prefix(cluster: str) -> str:
    """Return the beginning of the names of the PersistentVolumeClaims of Redis; the pod's number follows."""
    return f"{VOLUME_REDIS_DATA}-{redis(cluster)}-"


def secrets(cluster: str) -> tuple[str, ...]:
    """Names of all Secrets that a cluster may own."""
    return (credentials_secret(cluster), redis(cluster))


def service_account(cluster: str) -> str:
    """Name of the ServiceAccount that server pods run as; it has no permissions."""
    return cluster


def disruption_budget(cluster: str) -> str:
    """Name of the PodDisruptionBudget over the serving pods."""
    return cluster


def ingress_policy(cluster: str) -> str:
    """Name of the NetworkPolicy of connections to the servers; that of the managed Redis is named like the Redis."""
    return cluster


def egress_policy(cluster: str) -> str:
    """Name of the NetworkPolicy of connections from the servers."""
    return f"{cluster}-egress"


def dashboard(cluster: str) -> str:
    """Name of the ConfigMap with the dashboard."""
    return f"{cluster}-dashboard"


def dashboard_file(namespace: str, cluster: str) -> str:
    """Key of the dashboard in its ConfigMap; unique, as Grafana's sidecar puts all of them into one folder."""
    return f"realtime-{namespace}-{cluster}.json"


def cluster_labels(cluster: str) -> dict[str, str]:
    """Labels that every child of a cluster has; the operator finds its children by LABEL_CLUSTER."""
    return {
        LABEL_NAME: APPLICATION,
        LABEL_INSTANCE: cluster,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_CLUSTER: cluster,
    }
