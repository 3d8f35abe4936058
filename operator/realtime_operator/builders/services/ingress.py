"""The Ingress in front of the client Service, with the settings that long connections need, by controller.

Controllers end a connection that is idle for a minute or less, and some end a response that takes longer. Clients and
servers exchange pings, whose interval the spec sets; the timeouts here only have to be longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_endpoint import Controller, Ingress
from realtime_operator.builders.manifest import metadata, with_applied_hash

IDLE_SECONDS = 3600
"""Seconds without data after which a controller may end a connection."""


def build_ingress(cluster: RealtimeCluster) -> JsonObject | None:
    """Build the Ingress; None when the spec wants none."""
    wanted = cluster.spec.endpoint.ingress
    if wanted is None:
        return None
    name = naming.ingress(cluster.metadata.name)
    annotations: dict[str, JsonValue] = {**controller_annotations(cluster, wanted), **wanted.annotations}
    return with_applied_hash(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": metadata(cluster, name, naming.COMPONENT_SERVER, annotations=annotations),
            "spec": {
                **({"ingressClassName": wanted.class_name} if wanted.class_name is not None else {}),
                "rules": _rules(cluster, wanted),
                **_tls(wanted),
            },
        }
    )


def _rules(cluster: RealtimeCluster, wanted: Ingress) -> list[JsonValue]:
    rules: list[JsonValue] = [{"host": host, "http": {"paths": _paths(cluster, wanted)}} for host in wanted.hosts]
    return rules or [{"http": {"paths": _paths(cluster, wanted)}}]


def _paths(cluster: RealtimeCluster, wanted: Ingress) -> list[JsonValue]:
    service = naming.client_service(cluster.metadata.name)
    return [
        {
            "path": path,
            "pathType": "Prefix",
            "backend": {"service": {"name": service, "port": {"name": naming.PORT_NAME_CLIENT}}},
        }
        for path in wanted.paths
    ]


def _tls(wanted: Ingress) -> JsonObject:
    if wanted.tls is None:
        return {}
    secret: JsonObject = {} if wanted.tls.secret_ref is None else {"secretName": wanted.tls.secret_ref.name}
    return {"tls": [{**({"hosts": [*wanted.hosts]} if wanted.hosts else {}), **secret}]}


def controller_annotations(cluster: RealtimeCluster, wanted: Ingress) -> dict[str, JsonValue]:
    """Return the annotations for the controller of the spec, or for all known ones.

    With TLS of the servers themselves they include that the controller speaks TLS to them.
    """
    known = CONTROLLERS.values() if wanted.controller is None else (CONTROLLERS[wanted.controller],)
    found: dict[str, JsonValue] = {}
    for annotate in known:
        found |= annotate(cluster, wanted)
    return found


def _speaks_tls(cluster: RealtimeCluster, annotations: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return annotations if cluster.spec.endpoint.tls is not None else {}


def _ingress_nginx(cluster: RealtimeCluster, _: Ingress) -> dict[str, JsonValue]:
    prefix = "nginx.ingress.kubernetes.io"
    return {
        f"{prefix}/proxy-read-timeout": f"{IDLE_SECONDS}",
        f"{prefix}/proxy-send-timeout": f"{IDLE_SECONDS}",
        f"{prefix}/proxy-buffering": "off",
        **_speaks_tls(cluster, {f"{prefix}/backend-protocol": "HTTPS"}),
    }


def _nginx_inc(cluster: RealtimeCluster, _: Ingress) -> dict[str, JsonValue]:
    service = naming.client_service(cluster.metadata.name)
    return {
        "nginx.org/websocket-services": service,
        "nginx.org/proxy-read-timeout": f"{IDLE_SECONDS}s",
        "nginx.org/proxy-send-timeout": f"{IDLE_SECONDS}s",
        "nginx.org/proxy-buffering": "False",
        **_speaks_tls(cluster, {"nginx.org/ssl-services": service}),
    }


def _haproxy(cluster: RealtimeCluster, _: Ingress) -> dict[str, JsonValue]:
    return {
        "haproxy.org/timeout-tunnel": f"{IDLE_SECONDS}s",
        "haproxy.org/timeout-server": f"{IDLE_SECONDS}s",
        **_speaks_tls(cluster, {"haproxy.org/server-ssl": "true"}),
    }


def _haproxy_ingress(cluster: RealtimeCluster, _: Ingress) -> dict[str, JsonValue]:
    prefix = "haproxy-ingress.github.io"
    return {
        f"{prefix}/timeout-tunnel": f"{IDLE_SECONDS}s",
        f"{prefix}/timeout-server": f"{IDLE_SECONDS}s",
        **_speaks_tls(cluster, {f"{prefix}/backend-protocol": "h1-ssl"}),
    }


def _traefik(_cluster: RealtimeCluster, wanted: Ingress) -> dict[str, JsonValue]:
    """Return what makes Traefik end TLS for the hosts, which it does not take from the TLS of an Ingress.

    Traefik has no timeout between data, and reads the protocol of a Service at the Service.
    """
    return {"traefik.ingress.kubernetes.io/router.tls": "true"} if wanted.tls is not None else {}


def _contour(_cluster: RealtimeCluster, wanted: Ingress) -> dict[str, JsonValue]:
    """Return what Envoy needs, which ends every response after 15 s otherwise, and upgrades listed paths only."""
    return {
        "projectcontour.io/response-timeout": "infinity",
        "projectcontour.io/websocket-routes": ",".join(wanted.paths),
    }


CONTROLLERS: Mapping[Controller, Callable[[RealtimeCluster, Ingress], dict[str, JsonValue]]] = {
    "IngressNginx": _ingress_nginx,
    "NginxInc": _nginx_inc,
    "HAProxy": _haproxy,
    "HAProxyIngress": _haproxy_ingress,
    "Traefik": _traefik,
    "Contour": _contour,
}


def service_annotations(cluster: RealtimeCluster) -> dict[str, JsonValue]:
    """Return the annotations of the client Service by which controllers speak TLS to servers that have certificates."""
    wanted, endpoint = cluster.spec.endpoint.ingress, cluster.spec.endpoint
    if wanted is None or endpoint.tls is None:
        return {}
    found: dict[str, JsonValue] = {}
    if wanted.controller in {None, "Traefik"}:
        found["traefik.ingress.kubernetes.io/service.serversscheme"] = "https"
    if wanted.controller in {None, "Contour"}:
        found["projectcontour.io/upstream-protocol.tls"] = f"{endpoint.service.port}"
    return found
