"""The addresses of a cluster, for its status: where clients and backends connect. Pure."""

from __future__ import annotations

from ipaddress import IPv6Address

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.services.route import API_VERSION as GATEWAY_API
from realtime_operator.planning.endpoint.exposure import address_of
from realtime_operator.planning.model.world import ObjectKey, World

DEFAULT_PORTS = {"ws": 80, "wss": 443}


def endpoints(cluster: RealtimeCluster, world: World) -> JsonObject:
    """Return the URLs that exist: of the Ingress, else of the Gateway's route, else of the Service.

    The address of an object that the cluster does not own is none of its own: backends would send their key to it.
    """
    if world.endpoints is not None:
        return {"client": world.endpoints.client, "api": world.endpoints.api}
    name = cluster.metadata.name
    urls = {"client": _client_url(cluster, world), "api": _api_url(cluster)}
    services = {"client": naming.client_service(name), "api": naming.api_service(name)}
    return {field: url for field, url in urls.items() if ObjectKey("v1", "Service", services[field]) in world.objects}


def _client_url(cluster: RealtimeCluster, world: World) -> str:
    """Return the URL that SDKs of Centrifugo's protocol connect to, without its path where that protocol is off."""
    path = naming.CLIENT_PATH if cluster.spec.protocols.centrifuge.mode == "Enabled" else ""
    return f"{_origin(cluster, world)}{path}"


def _origin(cluster: RealtimeCluster, world: World) -> str:
    endpoint = cluster.spec.endpoint
    host = _ingress_host(cluster, world)
    if host is not None:
        encrypted = endpoint.ingress is not None and endpoint.ingress.tls is not None
        return _url("wss" if encrypted else "ws", host)
    host = _route_host(cluster, world)
    if host is not None:
        return _url("wss", host)
    name, namespace = cluster.metadata.name, cluster.metadata.namespace
    key = ObjectKey("v1", "Service", naming.client_service(name))
    host = address_of(world.objects.get(key, {})) or f"{naming.client_service(name)}.{namespace}.svc"
    return _url("ws" if endpoint.tls is None else "wss", host, endpoint.service.port)


def _ingress_host(cluster: RealtimeCluster, world: World) -> str | None:
    """Return the first host of the Ingress, or the address that its controller gave it."""
    ingress = cluster.spec.endpoint.ingress
    key = ObjectKey("networking.k8s.io/v1", "Ingress", naming.ingress(cluster.metadata.name))
    if ingress is None or key not in world.objects:
        return None
    return _first_name(ingress.hosts) or address_of(world.objects[key]) or None


def _route_host(cluster: RealtimeCluster, world: World) -> str | None:
    """Return the first host name of the route; a Gateway's listener is taken to speak TLS."""
    gateway, name = cluster.spec.endpoint.gateway, naming.route(cluster.metadata.name)
    kinds = [ObjectKey(GATEWAY_API, kind, name) for kind in ("HTTPRoute", "TLSRoute")]
    if gateway is None or not any(key in world.objects for key in kinds):
        return None
    return _first_name(gateway.hostnames)


def _first_name(hosts: tuple[str, ...]) -> str | None:
    return next((host for host in hosts if not host.startswith("*")), None)


def _url(scheme: str, host: str, port: int | None = None) -> str:
    shown = f"[{host}]" if _is_ipv6(host) else host
    suffix = "" if port in (None, DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{shown}{suffix}"


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _api_url(cluster: RealtimeCluster) -> str:
    scheme = "http" if cluster.spec.api.tls is None else "https"
    host = f"{naming.api_service(cluster.metadata.name)}.{cluster.metadata.namespace}.svc"
    return f"{scheme}://{host}:{naming.PORT_API}/api"
