"""One worker: the only place where core, protocols, transports, backplane and APIs are put together."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop
from aiohttp import web
from prometheus_client.registry import Collector

from realtime_server import settings as configuration
from realtime_server.admin import openapi, worker
from realtime_server.admin.api_keys import ApiKeys
from realtime_server.admin.api_metrics import ApiCollector
from realtime_server.admin.api_server import API_PATH, BODY_BYTES, ApiServer, document
from realtime_server.admin.api_site import ApiSite
from realtime_server.admin.history_archive import HistoryArchive
from realtime_server.admin.queued_commands import QueuedCommands
from realtime_server.admin.self_probe import ProbeIdentity, SelfProbe
from realtime_server.backplane.factory import Backplane, open_backplane
from realtime_server.backplane.redis_usage import UsageCollector
from realtime_server.core.auth.ignored_tokens import IgnoredTokens
from realtime_server.core.auth.verifier import TokenVerifier
from realtime_server.core.limits.limit import NodeLimits
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.node import Node, NodeSettings
from realtime_server.core.ports.backend import Backend, Hook
from realtime_server.core.ports.route_hooks import NoRouteHooks, RouteHooks
from realtime_server.core.ports.tracing import NO_TRACING, Tracing
from realtime_server.core.server_api import ServerApi
from realtime_server.core.serving import Serving
from realtime_server.emitted_events import EmittedEvents, open_emitted_events
from realtime_server.hooks.factory import HookClient
from realtime_server.hooks.hook_metrics import HookCollector
from realtime_server.keys import key_files
from realtime_server.keys.http_document import HttpDocument, Source
from realtime_server.keys.key_metrics import KeysCollector
from realtime_server.keys.remote_keys import Freshness, PublishedKeys
from realtime_server.listening import Listener, ReusePortGroup
from realtime_server.message_brokers.factory import Consumers, open_consumers
from realtime_server.metrics import ApiPortCollector, ClientPortCollector, EmitterCollector, registry_of
from realtime_server.namespace_settings import channel_options
from realtime_server.settings import Settings
from realtime_server.socket_io.cluster_sockets import ClusterSockets
from realtime_server.socket_io.socket_namespace import ClientEvent
from realtime_server.transports.accelerated import ACCELERATED, Flusher
from realtime_server.transports.centrifuge_protocol import CentrifugeProtocol, CentrifugeSettings
from realtime_server.transports.client_port import ClientPort, ClientPortSettings
from realtime_server.transports.client_protocol import ClientProtocol
from realtime_server.transports.forwarded import TrustedProxies
from realtime_server.transports.http_server import HttpRequest, Route
from realtime_server.transports.plain_protocol import PlainProtocol, PlainSettings
from realtime_server.transports.socket_io_protocol import NamespaceSettings, SocketIoProtocol, SocketIoSettings
from realtime_server.transports.tls import Certificate, api_tls_settings, tls_settings

if TYPE_CHECKING:
    from realtime_server.tracing.worker_tracing import WorkerTracing

logger = structlog.get_logger()

WARNING_SECONDS = 60.0
"""Between two warnings that tokens are ignored."""
_CLIENT_EVENTS = {
    "subscribe": (ClientEvent.SUBSCRIBE, ClientEvent.UNSUBSCRIBE),
    "publish": (ClientEvent.PUBLISH,),
    "history": (ClientEvent.HISTORY,),
    "presence": (ClientEvent.PRESENCE,),
}
PROOF_SECONDS = 0.01
"""So often a worker that starts looks whether its backplane has proven itself."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a server is told by its command line alone, because no configuration of production may have it.

    `ignore_tokens`: anybody may do everything.
    """

    ignore_tokens: bool = False


class WorkerBrokenError(Exception):
    """Periodic work of this worker has failed; it has moved its connections away and must be started again."""


def run_worker(settings: Settings, index: int, control_socket: Path, options: RunOptions) -> None:
    """Run one worker until SIGTERM, then drain and return; a second SIGTERM closes what is left. Blocks."""
    structlog.contextvars.bind_contextvars(worker=index)
    uvloop.run(_run(settings, index, control_socket, options))


def make_node(
    settings: Settings,
    backplane: Backplane | None = None,
    remote_keys: PublishedKeys | None = None,
    backend: Backend | None = None,
    tracing: Tracing | None = None,
    *,
    ignore_tokens: bool = False,
) -> Node:
    """Return the node that the settings describe; with `ignore_tokens` anybody may do everything."""
    backplane = backplane or open_backplane(settings)
    verifier = IgnoredTokens() if ignore_tokens else _verifier(settings.auth, remote_keys)
    limits = NodeLimits(
        channels_per_connection=settings.limits.channels_per_connection,
        messages_per_second=settings.limits.messages_per_second,
        outbox_bytes=settings.limits.outbox_bytes,
        connections_per_user=settings.limits.connections_per_user,
        connects_per_second=settings.limits.connects_per_second / settings.workers,
        message_bytes=settings.limits.message_bytes,
    )
    node_settings = NodeSettings(
        name=configuration.server_name(),
        version=version("realtime-operator"),
        namespaces=namespaces_of(settings),
        limits=limits,
        heartbeat_interval=settings.heartbeat.interval_seconds,
        heartbeat_timeout=settings.heartbeat.timeout_seconds,
        anonymous=settings.auth.anonymous,
        connect_seconds=settings.listen.handshake_seconds,
        revocation_seconds=settings.auth.revocation_seconds,
        expiry_leeway=settings.auth.leeway_seconds,
    )
    return Node(
        node_settings,
        backplane.broker,
        backplane.presence,
        verifier,
        backend,
        backplane.occupancy,
        revocations=backplane.revocations,
        sessions=backplane.sessions,
        tracing=tracing,
    )


def _verifier(auth: configuration.Auth, remote_keys: PublishedKeys | None) -> TokenVerifier:
    return TokenVerifier(
        key_files.connection_keys(auth),
        remote=remote_keys,
        subscription_keys=key_files.subscription_keys(auth),
        issuer=auth.issuer,
        audience=auth.audience,
        leeway=auth.leeway_seconds,
    )


def namespaces_of(settings: Settings) -> Namespaces:
    """The options of all channels."""
    return Namespaces((namespace.name, channel_options(namespace)) for namespace in settings.namespaces)


async def _run(settings: Settings, index: int, control_socket: Path, options: RunOptions) -> None:
    loop = asyncio.get_running_loop()
    remote_keys = _remote_keys(settings)
    backplane = open_backplane(settings)
    exporting = _tracing(settings, index)
    tracing = None if exporting is None else exporting.spans
    hooks = _hooks(settings, backplane, tracing or NO_TRACING)
    backend = hooks.backend if hooks is not None else None
    node = make_node(settings, backplane, remote_keys, backend, tracing, ignore_tokens=options.ignore_tokens)
    serving = Serving(node)
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def on_stop() -> None:
        (stop_now if stop.is_set() else stop).set()

    loop.add_signal_handler(signal.SIGTERM, on_stop)
    loop.set_exception_handler(_report)
    flusher = Flusher(loop.call_soon, settings.limits.outbox_bytes)
    protocols = client_protocols(settings, node, flusher, _route_hooks(hooks))
    api = ApiServer(
        ServerApi(node),
        ApiKeys.of(settings.api, workers=settings.workers),
        sockets=_cluster_sockets(protocols),
        data_bytes=settings.limits.outbox_bytes // 2,
        tracing=tracing or NO_TRACING,
    )
    api_certificate = None if settings.api.tls is None else Certificate(api_tls_settings(settings.api.tls))
    api_site = ApiSite(
        api,
        keeps=lambda: serving.serves,
        tls=None if api_certificate is None else lambda: api_certificate.context,
    )
    emitters = open_emitted_events(settings.protocols.socket_io, protocols, backplane.open_feed, node.clock)
    clients = ClientPort(
        node,
        client_port_settings(settings),
        protocols,
        flusher,
        keeps=lambda: serving.serves and not serving.sheds,
        why_not=serving.why_not_ready,
        routes=api_routes(api_site) if settings.api.on_client_port else {},
    )
    registry = registry_of(node, index)
    registry.register(ApiCollector(api.usage, index))
    executor = QueuedCommands(ServerApi(node), settings.limits.outbox_bytes // 2, _cluster_sockets(protocols))
    consumers = open_consumers(settings, index, executor, lambda: node.broker.healthy)
    for collector in _collectors(index, remote_keys, hooks, backplane, exporting, emitters, consumers):
        registry.register(collector)
    registry.register(ClientPortCollector(clients, index))
    if api_certificate is not None:
        registry.register(ApiPortCollector(api_certificate, index))
    await api_site.setup()
    clients_listener = Listener(*settings.listen.client_address, clients.accept)
    api_listener = Listener(*settings.listen.api_address, api_site.accept)
    group = ReusePortGroup((clients_listener, api_listener))
    histories = HistoryArchive(backplane.archive, lambda channel: _history_of(node, channel))
    probe = SelfProbe(node, _probe_identity(settings, backend))
    control = await worker.serve(serving, control_socket, registry, histories, probe, listening=lambda: group.joined)
    started = asyncio.create_task(_start(node, remote_keys, hooks, emitters), name="node-start")
    pacing = asyncio.create_task(serving.run(), name="serving")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    broken = asyncio.create_task(node.broken.wait(), name="broken")
    certificates = asyncio.create_task(_follow_certificates(clients, api_certificate), name="certificates")
    following: asyncio.Task[None] | None = None
    warning = asyncio.create_task(_warn(), name="warning") if options.ignore_tokens and index == 0 else None
    try:
        await asyncio.wait({started, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            started.result()
            await group.join()
            logger.info("worker listens", client_port=settings.listen.client_port, accelerated=ACCELERATED)
            consumers.start()
            shared = group if settings.listen.shared else None
            following = asyncio.create_task(_follow(serving, clients, shared), name="accept-group")
            await asyncio.wait({stopping, broken, pacing}, return_when=asyncio.FIRST_COMPLETED)
            if pacing.done():
                pacing.result()
            if node.broken.is_set():
                await group.leave()  # the other workers accept what comes from now on
            await asyncio.gather(_drain(settings, node, serving, api_site, stop_now), consumers.stop())
            if node.broken.is_set():
                raise WorkerBrokenError
    finally:
        for task in (started, pacing, stopping, broken, certificates, following, warning):
            if task is not None:
                task.cancel()
        await group.leave()
        await consumers.stop()
        await probe.close()
        await clients.close()
        await api_site.close()
        await control.cleanup()
        if hooks is not None:
            await hooks.stop()
        if emitters is not None:
            await emitters.stop()
        await _stop(node, remote_keys, exporting)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)


def _probe_identity(settings: Settings, backend: Backend | None) -> ProbeIdentity:
    auth = settings.auth
    asks = backend is not None and backend.asks(Hook.CONNECT)
    audience = (
        auth.audience if auth.audience is None or isinstance(auth.audience, str) else next(iter(auth.audience), None)
    )
    return ProbeIdentity(key_files.connection_keys(auth), asks or auth.anonymous, audience, auth.issuer)


def _history_of(node: Node, channel: str) -> HistoryOptions | None:
    options = node.settings.namespaces.of(channel)
    return None if options is None else options.history


async def _stop(node: Node, remote_keys: PublishedKeys | None, exporting: WorkerTracing | None) -> None:
    """Stop what is left when no port is open any more: spans of all that is before go to the collector last."""
    await node.stop()
    if remote_keys is not None:
        await remote_keys.stop()
    if exporting is not None:
        exporting.stop()


def api_routes(site: ApiSite) -> dict[str, Route]:
    """Return the endpoints of the server API on the port for clients. Pages of other origins may not call them."""

    async def call(asked: HttpRequest) -> web.StreamResponse:
        return await site.call(asked.request, asked.request.path.removeprefix(f"{API_PATH}/"))

    async def show(asked: HttpRequest) -> web.StreamResponse:
        return await document(asked.request)

    return {
        f"{API_PATH}/*": Route(("POST",), call, cross_origin=False, body_bytes=BODY_BYTES, keeps_idle=True),
        openapi.PATH: Route(("GET", "HEAD"), show, cross_origin=False),
    }


def _remote_keys(settings: Settings) -> PublishedKeys | None:
    jwks = settings.auth.jwks
    if jwks is None:
        return None
    document = HttpDocument(Source(jwks.url, jwks.timeout_seconds, jwks.ca_file))
    return PublishedKeys(document, Freshness(jwks.refresh_seconds, jwks.max_age_seconds))


def _collectors(
    index: int,
    remote_keys: PublishedKeys | None,
    hooks: HookClient | None,
    backplane: Backplane,
    exporting: WorkerTracing | None,
    emitters: EmittedEvents | None,
    consumers: Consumers,
) -> Iterator[Collector]:
    """Metrics of what not every worker has."""
    yield UsageCollector(backplane.usage, index)
    if hooks is not None:
        yield HookCollector(hooks.backend, index, routes=hooks.route_endpoints)
    if remote_keys is not None:
        yield KeysCollector(remote_keys, index)
    if exporting is not None:
        yield exporting.collector(index)
    if emitters is not None:
        inbox, feed = emitters.inbox, emitters.feed
        yield EmitterCollector(inbox.received, inbox.refused, lambda: feed.connected, index)
    if consumers.consumers:
        yield consumers.collector(index)


def _tracing(settings: Settings, index: int) -> WorkerTracing | None:
    if settings.tracing is None:
        return None
    # Only now: OpenTelemetry takes time and memory of every worker that imports it.
    from realtime_server.tracing.worker_tracing import WorkerTracing

    return WorkerTracing(settings.tracing, settings.workers, index)


def _hooks(settings: Settings, backplane: Backplane, tracing: Tracing) -> HookClient | None:
    hooks, routes = settings.hooks, settings.protocols.web_socket
    if not any(hooks.of(hook) for hook in Hook) and hooks.events is None and not routes.has_hooks:
        return None
    return HookClient(hooks, routes, backplane.open_queue, str(uuid.uuid4()), tracing)


async def _start(
    node: Node, remote_keys: PublishedKeys | None, hooks: HookClient | None, emitters: EmittedEvents | None
) -> None:
    """Do what has to be done before clients can come: for as long as it takes until what is published arrives.

    Keys that cannot be read yet are no reason to stay away.
    """
    if remote_keys is not None:
        await remote_keys.start()
    await node.start()
    if hooks is not None:
        await hooks.start()
    if emitters is not None:
        await emitters.start()
    while not node.broker.healthy:  # noqa: ASYNC110 - it depends on the clock too, so nothing can announce it
        await asyncio.sleep(PROOF_SECONDS)


async def _warn() -> None:
    """Say again and again, until cancelled, that anybody may do everything: nobody shall get used to it."""
    while True:
        logger.warning(
            "tokens are ignored: any client that reaches this server may do everything; use this for development only"
        )
        await asyncio.sleep(WARNING_SECONDS)


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log what no one waits for: a failed task, a failed callback."""
    error = context.get("exception")
    logger.error("unexpected failure", what=context.get("message"), exc_info=error)


async def _follow_certificates(clients: ClientPort, api: Certificate | None) -> None:
    """Reload the certificates of both ports when they change; until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(clients.follow(), name="client-certificate")
        if api is not None:
            group.create_task(api.follow(), name="api-certificate")


async def _follow(serving: Serving, clients: ClientPort, shared: ReusePortGroup | None) -> None:
    """Leave ports that are `shared` while this server does not serve; until cancelled.

    Sockets that wait for a further request are closed too: a client that is moved away would come back by one.
    """
    while True:
        await serving.changed.wait()
        serving.changed.clear()
        if serving.sheds or not serving.serves:
            clients.http.close_idle()
        if shared is not None:
            await (shared.join() if serving.serves else shared.leave())


def connections_of_worker(settings: Settings) -> int:
    """Return the number of connections that one worker may have."""
    return math.ceil(settings.limits.connections / settings.workers)


def client_port_settings(settings: Settings) -> ClientPortSettings:
    """What the settings say of one worker's clients."""
    listen, limits, workers = settings.listen, settings.limits, settings.workers
    return ClientPortSettings(
        max_connections=connections_of_worker(settings),
        max_handshakes=math.ceil(limits.handshakes / workers),
        handshake_seconds=listen.handshake_seconds,
        origins=settings.origins,
        proxies=TrustedProxies(listen.trusted_proxies, listen.forwarded_header),
        proxy_protocol=listen.proxy_protocol,
        tls=tls_settings(listen),
        visible_headers=settings.hooks.forward_headers,
        compression=settings.compression.enabled,
    )


def client_protocols(
    settings: Settings, node: Node, flusher: Flusher, route_hooks: RouteHooks
) -> tuple[ClientProtocol, ...]:
    """Return the client protocols that are on: the one place that lists them."""
    found: list[ClientProtocol] = []
    max_connections = connections_of_worker(settings)
    threshold = settings.compression.threshold_bytes if settings.compression.enabled else None
    if settings.protocols.centrifuge.enabled:
        centrifuge = CentrifugeSettings(max_connections, settings.development, threshold)
        found.append(CentrifugeProtocol(node, centrifuge, flusher))
    if settings.protocols.socket_io.enabled:
        found.append(SocketIoProtocol(node, socket_io_settings(settings, threshold), flusher))
    routes = [route.to_route() for route in settings.protocols.web_socket.routes]
    if routes:
        found.append(PlainProtocol(node, routes, PlainSettings(max_connections, threshold), route_hooks, flusher))
    return tuple(found)


def _cluster_sockets(protocols: Iterable[ClientProtocol]) -> ClusterSockets | None:
    """Return the sockets of Socket.IO for the server API; None while the protocol is off."""
    return next((each.server.cluster for each in protocols if isinstance(each, SocketIoProtocol)), None)


def _route_hooks(hooks: HookClient | None) -> RouteHooks:
    return NoRouteHooks() if hooks is None or hooks.routes is None else hooks.routes


def socket_io_settings(settings: Settings, compression_threshold: int | None) -> SocketIoSettings:
    """Return the settings of Socket.IO. Who may join rooms by an event may leave them by one."""
    namespaces = tuple(
        NamespaceSettings(
            each.name,
            each.channel_namespace or "",
            frozenset(event for option in each.client_events for event in _CLIENT_EVENTS[option]),
        )
        for each in settings.protocols.socket_io.served
    )
    return SocketIoSettings(
        settings.protocols.socket_io.path, namespaces, connections_of_worker(settings), compression_threshold
    )


async def _drain(settings: Settings, node: Node, serving: Serving, api_site: ApiSite, stop_now: asyncio.Event) -> None:
    """Move every connection away within the timeout, at this worker's share or faster if there are too many.

    Calls of the server API are answered until this worker has been out of service for the settle time: until then
    they may be sent here, on new connections and on kept ones.
    """
    drain = settings.drain
    rate = drain.connections_per_second / settings.workers
    serving.stop(rate, drain.timeout_seconds)
    logger.info("worker drains", connections=len(node.sessions))
    began = time.monotonic()

    def has_to_wait() -> bool:
        now = time.monotonic()
        left_at = began if serving.left_at is None else serving.left_at
        is_settled = now - left_at >= drain.settle_seconds or api_site.is_unused(drain.settle_seconds)
        return not is_settled or (bool(node.sessions) and now - began < drain.timeout_seconds)

    while has_to_wait() and not stop_now.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop_now.wait(), 0.1)
    if node.sessions:
        logger.warning("worker closes the remaining connections", connections=len(node.sessions))
        serving.close_all()
    await asyncio.sleep(0.2)
