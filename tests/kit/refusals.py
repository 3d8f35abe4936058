"""Invalid specs with the expected messages: one table for the API server and the operator."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class Refusal:
    """An invalid spec, the path of the field, and the message that API server and operator give."""

    path: str
    message: str
    spec: JsonObject = field(default_factory=dict)
    name: str = "refused"

    @property
    def document(self) -> JsonObject:
        """Return the object to be refused."""
        return {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            "metadata": {"name": self.name},
            "spec": self.spec,
        }

    def is_said_in(self, answer: str) -> bool:
        """Return True when an answer has the field and the message; it may write map[key] for map.key."""
        return self.message in answer and self.path in re.sub(r"\[([a-z]+)\]", r".\1", answer)


DURATION = "must be a duration like 30s, 10m or 1h30m, longer than 0s and at most 720h"
MILLISECONDS = "must be whole milliseconds like 5ms, from 0ms to 1000ms"
TRAFFIC = (
    "traffic Route needs endpoint.gateway, and no endpoint.tls: only an HTTPRoute divides new connections without"
    " ending open ones"
)
DROPS = (
    "DropOldest and Conflate skip publications, but recovery and delta need all of them: set both to Disabled, or"
    " slowConsumer to Disconnect"
)
SIZE = "must be a number of bytes like 65536, 64Ki or 1Mi, at least 1Ki and at most 1Gi"
SHARE = "must be a number of servers like 1, or a percentage of them from 0% to 100% like 25%"
RATE = "must be a number of connections per second from 1 to 100000, or Auto"
QUANTITY = "must be a quantity like 500m, 2 or 256Mi, and not negative"
MEMORY = "memory must be 0 or at least 4Mi (did you mean 512Mi? 512 is 512 bytes, and 512m half a byte)"
CPU = "cpu must be below 100 (did you mean 500m? 500 is 500 CPUs)"
REFRESH = "refresh must be from 5s to 24h: short enough to follow a key rotation, long enough to spare the provider"
NAME = (
    "the name must have at most 40 characters, begin with a letter, end with a letter or digit, and have only"
    " lower case letters, digits and - in it: Services and pods are named after it"
)
LABELS = (
    "labels that begin with realtime.dev/, and app.kubernetes.io/name, instance, component and managed-by,"
    " are reserved for the operator"
)
ANNOTATIONS = "annotations that begin with realtime.dev/ are reserved for the operator"

SCHEDULE = "must be five fields like 0 2 * * SUN: minute, hour, day of the month, month, day of the week"
ZONE = "must be the name of a time zone like Europe/Berlin or Etc/UTC"
BALANCED = "loadBalancerClass and loadBalancerSourceRanges need the type LoadBalancer"
BALANCING: tuple[JsonObject, ...] = (
    {"type": "NodePort", "loadBalancerClass": "a"},
    {"type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
)
EXTERNALS: tuple[JsonObject, ...] = ({"nodePort": 30000}, {"externalTrafficPolicy": "Local"})
EXTERNAL = "nodePort and externalTrafficPolicy need the type NodePort or LoadBalancer"
NETWORK = "must be a network like 10.0.0.0/8 or 2001:db8::/32"
HOST = "must be a host name in lower case, like chat.example.com or *.example.com"
RESERVED: JsonObject = {"realtime.dev/applied": "x"}
ISSUED: JsonObject = {"secretRef": {"name": "own"}, "certificate": {"issuerRef": {"name": "private"}}}


PEER = "set podSelector, namespaceSelector or both, or ipBlock alone"
COLLECTOR = (
    "must be an address like http://collector.observability.svc:4318, with the port for OTLP over HTTP, without"
    " /v1/traces, which servers add, and without credentials, which belong in headers"
)
KEY: JsonObject = {"name": "collector", "key": "token"}
EGRESS = (
    "egress must allow what the servers connect to: an external Redis, the backend of hooks, the URL of auth.jwks,"
    " the endpoint of tracing, brokers; a NetworkPolicy has no host names, so it is not derived from their URLs"
)


RESTRICTED = "mode must be Restricted for clientFrom, apiFrom, adminFrom and egress: with None everything is allowed"
PROTOCOL = "one protocol must be Enabled, or no client could connect: centrifuge or socketIO, or webSocket by a route"
SOCKET_IO: tuple[tuple[str, str, JsonObject], ...] = (
    ("path", "must be a path that begins and ends with /, like /socket.io/", {"path": "/socket.io"}),
    ("path", "must not begin with /connection/, /emulation/, /health/, /api/, /ws/", {"path": "/api/io/"}),
    ("namespaces", "Duplicate value", {"namespaces": [{"name": "/a"}, {"name": "/a"}]}),
    ("namespaces[0].name", "must be / or a name that begins with it, like /chat", {"namespaces": [{"name": "chat"}]}),
    (
        "namespaces",
        "channelNamespace must be default or one of spec.namespaces",
        {"namespaces": [{"name": "/", "channelNamespace": "chat"}]},
    ),
    ("namespaces[0].clientEvents[0]", "Unsupported value", {"namespaces": [{"name": "/", "clientEvents": ["Join"]}]}),
    ("emitters.formats[0]", "Unsupported value", {"emitters": {"formats": ["Pickle"]}}),
    ("emitters.key", "must have letters, digits and _.:/{}- only", {"emitters": {"key": "a*"}}),
    ("emitters.stream", "must have letters, digits and _.:/{}- only", {"emitters": {"stream": "a b"}}),
    ("emitters.channel", "must have letters, digits and _.:/{}- only", {"emitters": {"channel": "[a]"}}),
)
EVERYWHERE: JsonObject = {"namespaceSelector": {}}
LOGIN = "username needs password: an ACL user logs in with both (any password does for a user with nopass)"
PATHS = (
    "paths must have / or where clients of an enabled protocol connect: /connection, the path of socketIO, or /ws"
    " with a route, unless an annotation makes the controller rewrite another path"
)
WRONG_PATHS: tuple[list[JsonValue], ...] = (
    ["/foo"], ["/connections", "/foo/connection"], ["/socket.io", "/ws"],
)  # fmt: skip


def restricted(**fields: JsonValue) -> JsonObject:
    """Return a spec with NetworkPolicies."""
    return {"networkPolicy": {"mode": "Restricted", **fields}}


def windows(schedule: str, duration: str, **fields: str) -> JsonObject:
    """Return a spec with one maintenance window."""
    return {"maintenance": {"windows": [{"schedule": schedule, "duration": duration, **fields}]}}


def external_redis(**fields: JsonValue) -> JsonObject:
    """Return a spec with an external Redis."""
    return {"backplane": {"redis": {"external": fields}}}


def heartbeat(interval: str, timeout: str) -> JsonObject:
    """Return a spec with this heartbeat."""
    return {"server": {"heartbeat": {"interval": interval, "timeout": timeout}}}


def _autoscaling(**fields: int) -> JsonObject:
    return {"autoscaling": {"connectionsPerReplica": 1000, **fields}}


QUEUE_TEMPLATE = (
    "must be a channel with placeholders like orders:{routing_key.2}, whose namespace is constant: {routing_key},"
    " {routing_key.N} for its Nth word and {header.NAME}, at most 8 of them"
)
BROKER: JsonObject = {"name": "shop", "rabbitMQ": {"url": {"secretKeyRef": {"name": "rabbitmq", "key": "url"}}}}


def _consumer(**fields: JsonValue) -> JsonObject:
    consumer: JsonObject = {"broker": "shop", "queue": "orders", "mapping": {"channel": "orders"}, **fields}
    return {"brokers": [BROKER], "consumers": [consumer]}


def _messages() -> tuple[Refusal, ...]:
    path = "spec.consumers[0]"
    templates = ("{routing_key}:b", "orders:{sub}", "orders:{routing_key.0}", "orders:{header.a", "a b")
    both: tuple[JsonObject, ...] = ({}, {"channel": "a", "commands": {}})
    secret: JsonObject = {"secretKeyRef": {"name": "rabbitmq", "key": "key"}}
    broker: JsonObject = {"name": "shop", "rabbitMQ": {"url": secret, "tls": {"key": secret}}}
    return (
        *(
            Refusal(f"{path}.mapping.channel", QUEUE_TEMPLATE, _consumer(mapping={"channel": each}))
            for each in templates
        ),
        Refusal(
            f"{path}.mapping.channel",
            QUEUE_TEMPLATE,
            _consumer(mapping={"channel": "a" + "{routing_key}" * 9}),
        ),
        *(
            Refusal(
                f"{path}.mapping", "set exactly one of channel, channelsHeader and commands", _consumer(mapping=each)
            )
            for each in both
        ),
        Refusal(f"{path}.retries.firstDelay", "firstDelay must be at most 1m", _consumer(retries={"firstDelay": "2m"})),
        Refusal(f"{path}.retries.maxDelay", "maxDelay must be at most 1m", _consumer(retries={"maxDelay": "61s"})),
        Refusal(f"{path}.broker", "must be a name in lower case", _consumer(broker="Shop")),
        Refusal("spec.brokers[0].name", "must be a name in lower case", {"brokers": [{**BROKER, "name": "a.b"}]}),
        Refusal("spec.brokers", "Duplicate value", {"brokers": [BROKER, BROKER]}),
        Refusal("spec.brokers[0].rabbitMQ.tls.key", "certificate and key belong together", {"brokers": [broker]}),
        Refusal("spec.networkPolicy.egress", EGRESS, {"brokers": [BROKER], "networkPolicy": {"mode": "Restricted"}}),
    )


TEMPLATE = (
    "must be a channel with placeholders like orders:{query.id}, whose namespace is constant: {sub}, {meta.NAME},"
    " {path.NAME}, {query.NAME} and {header.name} without credentials, at most 8 of them"
)
HOOK_URL: JsonObject = {"url": "http://backend/h"}


def _route(*actions: JsonObject, **fields: JsonValue) -> JsonObject:
    route: JsonObject = {"name": "orders", "subscribe": ["orders"], "actions": [*actions], **fields}
    return {"protocols": {"webSocket": {"routes": [route]}}}


def _routes_refused() -> tuple[Refusal, ...]:
    """Return the refusals of routes."""
    path = "spec.protocols.webSocket.routes[0]"
    templates = ("{query.a}:b", "a{sub}:b", "orders:{id}", "orders:{query.a", "a b", "o:{header.cookie}", "{sub}" * 9)
    return (
        *(Refusal(f"{path}.subscribe[0]", TEMPLATE, _route(subscribe=[template])) for template in templates),
        Refusal(f"{path}.name", "must be a part of a path in lower case", _route(name="a/b")),
        Refusal(f"{path}.path", "must be segments like /{room}", _route(path="{room}")),
        Refusal(f"{path}.format", "Binary", _route(format="Bytes")),
        Refusal(f"{path}.envelope", "an envelope is JSON", _route(format="Binary", envelope="Json")),
        Refusal(f"{path}.selection", "must be a JSON pointer (RFC 6901) like /action", _route(selection="action")),
        Refusal(f"{path}.selection", "selection is needed", _route({"key": "a", "hook": HOOK_URL})),
        Refusal(f"{path}.subprotocols", "access_token, after which", _route(subprotocols=["access_token"])),
        Refusal(f"{path}.subprotocols[0]", "must be letters, digits", _route(subprotocols=["a b"])),
        Refusal(path, "subscribe or actions is needed", _route(subscribe=[])),
        Refusal(f"{path}.actions[0]", "set one of publish and hook", _route({"key": "$default"})),
        Refusal(f"{path}.actions[0].key", "key must not begin with $", _route({"key": "$other", "hook": HOOK_URL})),
        Refusal(
            f"{path}.actions[0].hook",
            "$connect and $disconnect need a hook",
            _route({"key": "$connect", "publish": {"channel": "orders"}}),
        ),
        Refusal(
            f"{path}.actions[0].publish.channel", TEMPLATE, _route({"key": "$default", "publish": {"channel": "{a}"}})
        ),
        Refusal(
            f"{path}.actions[0].hook.url", "must be an address like", _route({"key": "$default", "hook": {"url": "h"}})
        ),
        Refusal(
            "spec.networkPolicy.egress",
            EGRESS,
            {**_route({"key": "$default", "hook": HOOK_URL}), "networkPolicy": {"mode": "Restricted"}},
        ),
        Refusal(
            "spec.protocols.webSocket.routes",
            "Duplicate value",
            {
                "protocols": {
                    "webSocket": {"routes": [{"name": "a", "subscribe": ["x"]}, {"name": "a", "subscribe": ["x"]}]}
                }
            },
        ),
    )


def _canary(**fields: JsonValue) -> JsonObject:
    return {"rollout": {"canary": {**fields}}}


REFUSALS = (
    *_routes_refused(),
    Refusal("spec.protocols.centrifuge", PROTOCOL, {"protocols": {"centrifuge": {"mode": "Disabled"}}}),
    *(
        Refusal(f"spec.protocols.socketIO.{field}", message, {"protocols": {"socketIO": settings}})
        for field, message, settings in SOCKET_IO
    ),
    Refusal("metadata.name", NAME, name="a" * 41),
    Refusal("metadata.name", NAME, name="1st"),
    Refusal("metadata.name", NAME, name="chat.example"),
    Refusal("spec.replicas", "should be greater than or equal to 0", {"replicas": -1}),
    Refusal("spec.replicas", "should be less than or equal to 1000", {"replicas": 1001}),
    Refusal("spec.replicas", "must be of type integer", {"replicas": "2"}),
    Refusal("spec.paused", "must be of type boolean", {"paused": "yes"}),
    Refusal(
        "spec.image.repository",
        "must be an image without tag or digest, like ghcr.io/realtime-operator/server",
        {"image": {"repository": "ghcr.io/realtime-operator/server@sha256:0123"}},
    ),
    Refusal(
        "spec.image.repository",
        "must be an image without tag or digest, like ghcr.io/realtime-operator/server",
        {"image": {"repository": "server:1.0"}},
    ),
    Refusal(
        "spec.image.tag",
        "must be an image's tag like 1.4.2: letters, digits, _, . and -",
        {"image": {"tag": "1.0/2"}},
    ),
    Refusal(
        "spec.image.pullPolicy",
        'supported values: "Always", "IfNotPresent", "Never"',
        {"image": {"pullPolicy": "Sometimes"}},
    ),
    Refusal(
        "spec.pod.imagePullSecrets[0].name",
        "must be the name of an object: lower case letters, digits, - and .",
        {"pod": {"imagePullSecrets": [{"name": "My_Secret"}]}},
    ),
    Refusal(
        "spec.pod.imagePullSecrets", "Duplicate value", {"pod": {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}}
    ),
    Refusal("spec.server.workers", "should be greater than or equal to 1", {"server": {"workers": 0}}),
    Refusal("spec.server.heartbeat.interval", DURATION, heartbeat("25", "8s")),
    Refusal("spec.server.heartbeat.interval", DURATION, heartbeat("1.5s", "1s")),
    Refusal("spec.server.heartbeat.interval", DURATION, heartbeat("", "8s")),
    Refusal("spec.server.heartbeat.timeout", DURATION, heartbeat("25s", "0s")),
    Refusal("spec.server.heartbeat.interval", DURATION, heartbeat("721h", "8s")),
    Refusal(
        "spec.server.heartbeat.timeout",
        "timeout must be shorter than interval: a ping must be answered before the next one is sent",
        heartbeat("10s", "10s"),
    ),
    Refusal(
        "spec.server.heartbeat.timeout",
        "timeout must be shorter than interval: a ping must be answered before the next one is sent",
        {"server": {"heartbeat": {"interval": "5s"}}},
    ),
    Refusal("spec.server.compression.threshold", SIZE, {"server": {"compression": {"threshold": 100}}}),
    Refusal("spec.server.limits.messageBytes", SIZE, {"server": {"limits": {"messageBytes": "64KB"}}}),
    Refusal("spec.server.limits.messageBytes", SIZE, {"server": {"limits": {"messageBytes": 1000}}}),
    Refusal("spec.server.limits.outboxBytes", SIZE, {"server": {"limits": {"outboxBytes": "2Gi"}}}),
    Refusal("spec.server.limits.outboxBytes", SIZE, {"server": {"limits": {"outboxBytes": "1500m"}}}),
    Refusal(
        "spec.server.limits.outboxBytes",
        "outboxBytes must be at least twice messageBytes: one publication may fill at most half of an outbox",
        {"server": {"limits": {"messageBytes": "2Mi"}}},
    ),
    Refusal(
        "spec.server.origins",
        "origins are compared exactly: write scheme and host like https://app.example.com, without a path or *",
        {"server": {"origins": ["https://*.example.com"]}},
    ),
    Refusal(
        "spec.server.origins",
        "origins are compared exactly: write scheme and host like https://app.example.com, without a path or *",
        {"server": {"origins": ["https://app.example.com/"]}},
    ),
    Refusal(
        "spec.namespaces[0].name",
        "must be the name of a channel namespace: letters, digits, -, _ and .",
        {"namespaces": [{"name": "chat:room"}]},
    ),
    Refusal("spec.namespaces", "Duplicate value", {"namespaces": [{"name": "a"}, {"name": "a"}]}),
    Refusal(
        "spec.namespaces[0].recovery",
        "recovery needs history: set history ({} for its defaults), or recovery to Disabled",
        {"namespaces": [{"name": "chat", "recovery": "Positioned"}]},
    ),
    Refusal(
        "spec.namespaces[0].publish",
        'supported values: "Nobody", "Subscribers", "Anyone"',
        {"namespaces": [{"name": "chat", "publish": "Everybody"}]},
    ),
    Refusal(
        "spec.namespaces[0].recovery",
        'supported values: "Disabled", "Positioned", "Stream", "Ordered", "Cache"',
        {"namespaces": [{"name": "chat", "recovery": "All"}]},
    ),
    Refusal(
        "spec.namespaces[0].recovery",
        "Ordered publications cannot wait, since each channel waits by itself: set writeDelay to 0ms, or recovery to"
        " Stream",
        {"namespaces": [{"name": "chat", "history": {}, "recovery": "Ordered", "writeDelay": "5ms"}]},
    ),
    Refusal(
        "spec.namespaces[0].joinLeave",
        'supported values: "Disabled", "OnRequest", "Always"',
        {"namespaces": [{"name": "chat", "joinLeave": "Sometimes"}]},
    ),
    Refusal(
        "spec.namespaces[0].personalChannel",
        "SingleConnection needs presence, which lists the user's other connections: set presence to true,"
        " or personalChannel to Enabled",
        {"namespaces": [{"name": "chat", "personalChannel": "SingleConnection"}]},
    ),
    Refusal("spec.namespaces[0].writeDelay", MILLISECONDS, {"namespaces": [{"name": "chat", "writeDelay": "1s"}]}),
    Refusal("spec.namespaces[0].writeDelay", MILLISECONDS, {"namespaces": [{"name": "chat", "writeDelay": "1001ms"}]}),
    Refusal("spec.namespaces[0].writeDelay", MILLISECONDS, {"namespaces": [{"name": "chat", "writeDelay": "05ms"}]}),
    Refusal(
        "spec.namespaces[0].slowConsumer",
        'supported values: "Disconnect", "DropOldest", "Conflate"',
        {"namespaces": [{"name": "chat", "slowConsumer": "Wait"}]},
    ),
    Refusal(
        "spec.namespaces[0].slowConsumer",
        DROPS,
        {"namespaces": [{"name": "chat", "history": {}, "recovery": "Stream", "slowConsumer": "Conflate"}]},
    ),
    Refusal(
        "spec.namespaces[0].slowConsumer",
        DROPS,
        {"namespaces": [{"name": "chat", "delta": "Fossil", "slowConsumer": "DropOldest"}]},
    ),
    Refusal(
        "spec.namespaces[0].subscribe",
        'supported values: "Anyone", "Authenticated", "Token"',
        {"namespaces": [{"name": "chat", "subscribe": "Subscribers"}]},
    ),
    Refusal(
        "spec.namespaces[0].historyFor",
        'supported values: "Nobody", "Subscribers", "Anyone"',
        {"namespaces": [{"name": "chat", "historyFor": "Authenticated"}]},
    ),
    Refusal("spec.namespaces[0].history.ttl", DURATION, {"namespaces": [{"name": "chat", "history": {"ttl": "1d"}}]}),
    Refusal(
        "spec.namespaces[0].history.size",
        "should be greater than or equal to 1",
        {"namespaces": [{"name": "chat", "history": {"size": 0}}]},
    ),
    Refusal(
        "spec.auth.tokens[0].secretKeyRef.key",
        "must be the key of a Secret: letters, digits, -, _ and .",
        {"auth": {"tokens": [{"secretKeyRef": {"name": "tokens", "key": "a/b"}}]}},
    ),
    Refusal(
        "spec.auth.tokens[0].secretKeyRef.key",
        "Required value",
        {"auth": {"tokens": [{"secretKeyRef": {"name": "tokens"}}]}},
    ),
    Refusal(
        "spec.auth.jwks.url",
        "must be the address of a JWK Set, like https://id.example.com/.well-known/jwks.json, without a login",
        {"auth": {"jwks": {"url": "id.example.com/keys"}}},
    ),
    Refusal("spec.auth.jwks.refresh", REFRESH, {"auth": {"jwks": {"url": "https://id.example/keys", "refresh": "4s"}}}),
    Refusal(
        "spec.auth.jwks.refresh", REFRESH, {"auth": {"jwks": {"url": "https://id.example/keys", "refresh": "25h"}}}
    ),
    Refusal(
        "spec.auth.jwks.maxAge",
        "maxAge must not be shorter than refresh: otherwise keys expire before they are read again",
        {"auth": {"jwks": {"url": "https://id.example/keys", "refresh": "10m", "maxAge": "9m59s"}}},
    ),
    Refusal("spec.auth.jwks.maxAge", DURATION, {"auth": {"jwks": {"url": "https://id.example/keys", "maxAge": "1d"}}}),
    Refusal(
        "spec.auth.jwks.ca.secretKeyRef.key",
        "Required value",
        {"auth": {"jwks": {"url": "https://id.example/keys", "ca": {"secretKeyRef": {"name": "authority"}}}}},
    ),
    Refusal(
        "spec.auth.revocationRetention",
        "revocationRetention must be at least 1m",
        {"auth": {"revocationRetention": "59s"}},
    ),
    Refusal(
        "spec.auth.leeway",
        "leeway must be at most 5m: expired tokens are accepted for that long",
        {"auth": {"leeway": "5m1s"}},
    ),
    Refusal("spec.auth.audiences", "Duplicate value", {"auth": {"audiences": ["chat", "chat"]}}),
    Refusal(
        "spec.hooks.connect.url",
        "must be an address like http://backend.default.svc/realtime, without a login",
        {"hooks": {"connect": {"url": "backend"}}},
    ),
    Refusal(
        "spec.hooks.connect.url",
        "must be an address like http://backend.default.svc/realtime, without a login",
        {"hooks": {"connect": {"url": "http://user:password@backend"}}},
    ),
    Refusal(
        "spec.hooks.publish.timeout",
        "timeout must be at most 1m: clients wait for the answer",
        {"hooks": {"publish": {"url": "http://backend", "timeout": "2m"}}},
    ),
    *(
        Refusal("spec.tracing.endpoint", COLLECTOR, {"tracing": {"endpoint": endpoint}})
        for endpoint in (
            "collector:4317",
            "grpc://collector:4317",
            "http://collector:4318/v1/traces/",
            "http://ann:key@collector:4318",
        )
    ),
    *(
        Refusal(
            "spec.tracing.headers[0].name",
            "must be the name of an HTTP header like Authorization, and none that servers set",
            {"tracing": {"endpoint": "http://collector:4318", "headers": [{"name": name, "secretKeyRef": KEY}]}},
        )
        for name in ("X Y", "Content-Type")
    ),
    Refusal(
        "spec.tracing.ca",
        "ca needs an endpoint that begins with https://: with http:// nothing is encrypted or verified",
        {"tracing": {"endpoint": "http://collector:4318", "ca": {"secretKeyRef": KEY}}},
    ),
    *_messages(),
    Refusal(
        "spec.hooks.forwardHeaders",
        "forwardHeaders must be names of HTTP headers in lower case, like cookie",
        {"hooks": {"forwardHeaders": ["X Y"]}},
    ),
    Refusal(
        "spec.hooks.forwardHeaders",
        "forwardHeaders must not contain headers that servers set themselves or that apply to a single request",
        {"hooks": {"forwardHeaders": ["cookie", "transfer-encoding"]}},
    ),
    Refusal(
        "spec.backplane.redis",
        "set managed or external, not both: the servers use one Redis",
        {
            "backplane": {
                "redis": {"managed": {}, "external": {"url": {"secretKeyRef": {"name": "redis", "key": "url"}}}}
            }
        },
    ),
    Refusal(
        "spec.backplane.redis.external",
        "set exactly one of url, address, sentinel and cluster: it is where Redis is",
        external_redis(address="redis:6379", cluster={"addresses": ["redis:6379"]}),
    ),
    Refusal(
        "spec.backplane.redis.external",
        "set exactly one of url, address, sentinel and cluster: it is where Redis is",
        external_redis(username="ann"),
    ),
    Refusal(
        "spec.backplane.redis.external.url",
        "username, password and database are part of url: write them there, or use address instead of url",
        external_redis(url={"secretKeyRef": {"name": "redis", "key": "url"}}, username="ann"),
    ),
    Refusal("spec.backplane.redis.external.username", LOGIN, external_redis(address="redis:6379", username="ann")),
    Refusal(
        "spec.backplane.redis.external.sentinel.username",
        LOGIN,
        external_redis(sentinel={"masterName": "main", "addresses": ["sentinel:26379"], "username": "ann"}),
    ),
    Refusal(
        "spec.backplane.redis.external.database",
        "database must be 0 with cluster: a Redis Cluster has no other",
        external_redis(cluster={"addresses": ["redis:6379"]}, database=1),
    ),
    Refusal(
        "spec.backplane.redis.external.address",
        "must be host and port like redis.example.com:6379 or [2001:db8::1]:6379",
        external_redis(address="redis.example.com"),
    ),
    Refusal(
        "spec.backplane.redis.external.address",
        "must be host and port like redis.example.com:6379 or [2001:db8::1]:6379",
        external_redis(address="redis.example.com:65536"),
    ),
    Refusal(
        "spec.backplane.redis.external.sentinel.addresses[0]",
        "must be host and port like redis.example.com:6379 or [2001:db8::1]:6379",
        external_redis(sentinel={"masterName": "main", "addresses": ["redis://sentinel:26379"]}),
    ),
    Refusal(
        "spec.backplane.redis.external.tls.key",
        "certificate and key belong together: set both, or none",
        external_redis(
            address="redis:6379", tls={"certificate": {"secretKeyRef": {"name": "redis-tls", "key": "tls.crt"}}}
        ),
    ),
    Refusal(
        "spec.backplane.redis.managed.tls.certificate",
        "certificate needs secretRef: the Secret that cert-manager issues it into",
        {"backplane": {"redis": {"managed": {"tls": {"certificate": {"issuerRef": {"name": "private"}}}}}}},
    ),
    Refusal(
        "spec.backplane.redis.managed.exporter.resources.limits",
        CPU,
        {"backplane": {"redis": {"managed": {"exporter": {"resources": {"limits": {"cpu": 500}}}}}}},
    ),
    Refusal(
        "spec.backplane.redis.managed.persistence.size",
        "must be at least 16Mi: about four times the memory limit, like 1Gi",
        {"backplane": {"redis": {"managed": {"persistence": {"size": "1M"}}}}},
    ),
    Refusal(
        "spec.backplane.redis.managed.resources.limits.memory",
        QUANTITY,
        {"backplane": {"redis": {"managed": {"resources": {"limits": {"memory": "1 GB"}}}}}},
    ),
    Refusal("spec.rollout.maxSurge", SHARE, {"rollout": {"maxSurge": "a quarter"}}),
    Refusal("spec.rollout.maxSurge", SHARE, {"rollout": {"maxSurge": "101%"}}),
    Refusal("spec.rollout.maxUnavailable", SHARE, {"rollout": {"maxUnavailable": -1}}),
    Refusal("spec.rollout.maxUnavailable", "must be of type", {"rollout": {"maxUnavailable": 0.5}}),
    Refusal(
        "spec.rollout.maxSurge",
        "maxSurge and maxUnavailable must not both be zero: no server could ever be replaced",
        {"rollout": {"maxSurge": 0}},
    ),
    Refusal(
        "spec.rollout.maxSurge",
        "maxSurge and maxUnavailable must not both be zero: no server could ever be replaced",
        {"rollout": {"maxSurge": "0%", "maxUnavailable": "0%"}},
    ),
    Refusal("spec.rollout.drain.connectionsPerSecond", RATE, {"rollout": {"drain": {"connectionsPerSecond": 0}}}),
    Refusal(
        "spec.rollout.canary.steps",
        "the shares must not descend: each step has at least that of the one before, like 10%, 50%",
        _canary(steps=[{"share": "50%"}, {"share": "10%"}]),
    ),
    Refusal(
        "spec.rollout.canary.steps[0].share",
        "must be a percentage from 1% to 100%, like 25%",
        _canary(steps=[{"share": "0%"}]),
    ),
    Refusal("spec.rollout.canary.steps[0].hold", DURATION, _canary(steps=[{"share": "10%", "hold": "a while"}])),
    Refusal(
        "spec.rollout.canary.gates.tolerance",
        "must be a percentage from 0% to 100%, like 5%",
        _canary(steps=[{"share": "10%"}], gates={"tolerance": "0.1%"}),
    ),
    Refusal("spec.rollout.canary.steps", "should have at least 1 items", _canary(steps=[])),
    Refusal("spec.rollout.canary.traffic", TRAFFIC, _canary(steps=[{"share": "10%"}], traffic="Route")),
    Refusal(
        "spec.rollout.canary.traffic",
        TRAFFIC,
        {
            "endpoint": {
                "gateway": {"parentRefs": [{"name": "a"}], "hostnames": ["a.b"]},
                "tls": {"secretRef": {"name": "a"}},
            },
            **_canary(steps=[{"share": "10%"}], traffic="Route"),
        },
    ),
    Refusal(
        "spec.rollout.maxSurge",
        "maxSurge must be above zero for canary.traffic Route: both revisions together may need one server more",
        {
            "endpoint": {"gateway": {"parentRefs": [{"name": "a"}]}},
            "rollout": {
                "maxSurge": "0%",
                "maxUnavailable": 1,
                "canary": {"steps": [{"share": "10%"}], "traffic": "Route"},
            },
        },
    ),
    Refusal("spec.rollout.canary.steps", "Required value", _canary()),
    Refusal("spec.rollout.drain.connectionsPerSecond", RATE, {"rollout": {"drain": {"connectionsPerSecond": "fast"}}}),
    Refusal("spec.rollout.drain.timeout", DURATION, {"rollout": {"drain": {"timeout": "ten minutes"}}}),
    Refusal(
        "spec.autoscaling.maxReplicas",
        "maxReplicas must not be below minReplicas (2 when it is absent)",
        _autoscaling(maxReplicas=1),
    ),
    Refusal(
        "spec.autoscaling.minReplicas",
        "should be greater than or equal to 1",
        _autoscaling(minReplicas=0, maxReplicas=3),
    ),
    Refusal("spec.autoscaling.maxReplicas", "Required value", _autoscaling()),
    Refusal(
        "spec.endpoint.service.type",
        'supported values: "ClusterIP", "NodePort", "LoadBalancer"',
        {"endpoint": {"service": {"type": "ExternalName"}}},
    ),
    Refusal(
        "spec.endpoint.service.annotations",
        ANNOTATIONS,
        {"endpoint": {"service": {"annotations": {"realtime.dev/applied": "no"}}}},
    ),
    Refusal("spec.pod.labels", LABELS, {"pod": {"labels": {"realtime.dev/serving": "false"}}}),
    Refusal(
        "spec.monitoring.podMonitor.labels",
        LABELS,
        {"monitoring": {"podMonitor": {"labels": {"realtime.dev/cluster": "other"}}}},
    ),
    Refusal(
        "spec.monitoring.prometheusRule.labels",
        LABELS,
        {"monitoring": {"prometheusRule": {"labels": {"app.kubernetes.io/name": "chat"}}}},
    ),
    Refusal(
        "spec.monitoring.dashboard.labels",
        LABELS,
        {"monitoring": {"dashboard": {"labels": {"realtime.dev/cluster": "other"}}}},
    ),
    Refusal(
        "spec.monitoring.dashboard.annotations",
        "annotations that begin with realtime.dev/ are reserved for the operator",
        {"monitoring": {"dashboard": {"annotations": {"realtime.dev/applied": "x"}}}},
    ),
    Refusal("spec.monitoring.podMonitor.interval", DURATION, {"monitoring": {"podMonitor": {"interval": "0s"}}}),
    Refusal("spec.pod.labels", LABELS, {"pod": {"labels": {"app.kubernetes.io/name": "chat"}}}),
    Refusal("spec.pod.annotations", ANNOTATIONS, {"pod": {"annotations": {"realtime.dev/quiesced-at": "now"}}}),
    *(
        Refusal(f"spec.pod.resources.{side}", MEMORY, {"pod": {"resources": {side: {"memory": memory}}}})
        for side in ("requests", "limits")
        for memory in (512, "512", "512m", "512k", "1Mi", "4194303")
    ),
    *(
        Refusal(f"spec.pod.resources.{side}", CPU, {"pod": {"resources": {side: {"cpu": cpu}}}})
        for side in ("requests", "limits")
        for cpu in (100, "500", "512Mi")
    ),
    Refusal(
        "spec.backplane.redis.managed.resources.limits",
        MEMORY,
        {"backplane": {"redis": {"managed": {"resources": {"limits": {"memory": 512}}}}}},
    ),
    Refusal(
        "spec.backplane.redis.managed.resources.requests",
        CPU,
        {"backplane": {"redis": {"managed": {"resources": {"requests": {"cpu": 250}}}}}},
    ),
    Refusal("spec.pod.resources.requests.cpu", QUANTITY, {"pod": {"resources": {"requests": {"cpu": "-1"}}}}),
    Refusal("spec.pod.resources.requests.cpu", QUANTITY, {"pod": {"resources": {"requests": {"cpu": -1}}}}),
    Refusal(
        "spec.pod.resources.requests",
        "requests must not be above limits",
        {"pod": {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}}},
    ),
    Refusal(
        "spec.pod.tolerations[0].effect",
        'supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
        {"pod": {"tolerations": [{"key": "dedicated", "effect": "Evict"}]}},
    ),
    Refusal(
        "spec.endpoint.service.port",
        "should be less than or equal to 65535",
        {"endpoint": {"service": {"port": 65536}}},
    ),
    *(Refusal("spec.endpoint.service.type", BALANCED, {"endpoint": {"service": service}}) for service in BALANCING),
    *(Refusal("spec.endpoint.service.type", EXTERNAL, {"endpoint": {"service": service}}) for service in EXTERNALS),
    Refusal(
        "spec.endpoint.service.loadBalancerSourceRanges[0]",
        NETWORK,
        {"endpoint": {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0"]}}},
    ),
    Refusal(
        "spec.endpoint.service.ipFamilies",
        "ipFamilies must have one family when ipFamilyPolicy is SingleStack",
        {"endpoint": {"service": {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4", "IPv6"]}}},
    ),
    Refusal("spec.endpoint.ingress.hosts[0]", HOST, {"endpoint": {"ingress": {"hosts": ["https://a.example"]}}}),
    Refusal("spec.endpoint.ingress.hosts[0]", HOST, {"endpoint": {"ingress": {"hosts": ["a.*.example"]}}}),
    Refusal(
        "spec.endpoint.ingress.paths[0]",
        "must be the beginning of a path, like / or /connection",
        {"endpoint": {"ingress": {"paths": ["connection"]}}},
    ),
    *(
        Refusal("spec.endpoint.ingress.paths", PATHS, {"endpoint": {"ingress": {"paths": paths}}})
        for paths in WRONG_PATHS
    ),
    Refusal(
        "spec.endpoint.ingress.hosts",
        "hosts must not be empty when tls.certificate has no dnsNames: a certificate is for names",
        {"endpoint": {"ingress": {"tls": ISSUED}}},
    ),
    Refusal(
        "spec.endpoint.ingress.tls.certificate",
        "certificate needs secretRef: the Secret that cert-manager issues it into",
        {"endpoint": {"ingress": {"hosts": ["a.example"], "tls": {"certificate": {"issuerRef": {"name": "a"}}}}}},
    ),
    Refusal("spec.endpoint.ingress.annotations", ANNOTATIONS, {"endpoint": {"ingress": {"annotations": RESERVED}}}),
    Refusal(
        "spec.endpoint.gateway.annotations",
        ANNOTATIONS,
        {"endpoint": {"gateway": {"parentRefs": [{"name": "a"}], "annotations": RESERVED}}},
    ),
    Refusal(
        "spec.endpoint.gateway.parentRefs",
        "should have at least 1 items",
        {"endpoint": {"gateway": {"parentRefs": []}}},
    ),
    Refusal(
        "spec.endpoint.gateway",
        "gateway.hostnames must not be empty with tls: a TLSRoute finds the servers by the name that clients ask for",
        {"endpoint": {"tls": {"secretRef": {"name": "a"}}, "gateway": {"parentRefs": [{"name": "a"}]}}},
    ),
    Refusal(
        "spec.endpoint.tls",
        "tls.certificate.dnsNames must not be empty: there are no host names of ingress or gateway to take",
        {"endpoint": {"tls": ISSUED}},
    ),
    Refusal("spec.endpoint.proxies.trusted[0]", NETWORK, {"endpoint": {"proxies": {"trusted": ["proxy.example"]}}}),
    Refusal(
        "spec.endpoint.proxies.trusted",
        "proxyProtocol Required needs trusted: the networks of the proxies that send it",
        {"endpoint": {"proxies": {"proxyProtocol": "Required"}}},
    ),
    Refusal(
        "spec.endpoint.handshakeTimeout",
        "handshakeTimeout must be at most 5m: idle sockets take the place of clients for that long",
        {"endpoint": {"handshakeTimeout": "6m"}},
    ),
    Refusal(
        "spec.api.onClientPort",
        "onClientPort must be false with tls.clientCertificates: the client port asks nobody for a certificate",
        {
            "api": {
                "onClientPort": True,
                "tls": {
                    "secretRef": {"name": "a"},
                    "clientCertificates": {"ca": {"secretKeyRef": {"name": "a", "key": "b"}}},
                },
            }
        },
    ),
    Refusal(
        "spec.auth.jwks.timeout",
        "timeout must be at most 8s: a client that connects waits for the keys",
        {"auth": {"jwks": {"url": "https://id.example/keys", "timeout": "9s"}}},
    ),
    Refusal(
        "spec.namespaces",
        "must have at most 64 items",
        {"namespaces": [{"name": f"n{i}"} for i in range(65)]},
    ),
    Refusal(
        "spec.image.digest",
        "must be an image's digest: sha256: and 64 hexadecimal digits in lower case",
        {"image": {"digest": "sha256:0123"}},
    ),
    Refusal(
        "spec.server.logging.level",
        'supported values: "Debug", "Info", "Warning", "Error"',
        {"server": {"logging": {"level": "Trace"}}},
    ),
    Refusal("spec.commonMetadata.labels", LABELS, {"commonMetadata": {"labels": {"realtime.dev/cluster": "x"}}}),
    Refusal(
        "spec.commonMetadata.annotations", ANNOTATIONS, {"commonMetadata": {"annotations": {"realtime.dev/x": ""}}}
    ),
    Refusal(
        "spec.backplane.redis.managed.pod.labels",
        LABELS,
        {"backplane": {"redis": {"managed": {"pod": {"labels": {"app.kubernetes.io/name": "x"}}}}}},
    ),
    Refusal(
        "spec.disruptionBudget.minAvailable",
        "set maxUnavailable or minAvailable, not both",
        {"disruptionBudget": {"maxUnavailable": 1, "minAvailable": 1}},
    ),
    Refusal("spec.disruptionBudget.maxUnavailable", SHARE, {"disruptionBudget": {"maxUnavailable": "half"}}),
    Refusal("spec.pod.containers[0].name", "Required value", {"pod": {"containers": [{"image": "a"}]}}),
    Refusal("spec.pod.env", "Duplicate value", {"pod": {"env": [{"name": "A"}, {"name": "A"}]}}),
    Refusal("spec.pod.volumeMounts[0].mountPath", "Required value", {"pod": {"volumeMounts": [{"name": "a"}]}}),
    Refusal("spec.pod.affinity", "must be of type object", {"pod": {"affinity": "zone"}}),
    Refusal("spec.pod.envFrom", "must have at most 16 items", {"pod": {"envFrom": [{} for _ in range(17)]}}),
    Refusal("spec.rollout.operatorDefaults", "supported values", {"rollout": {"operatorDefaults": "Always"}}),
    Refusal("spec.maintenance.windows[0].schedule", SCHEDULE, windows("0 2 * *", "4h")),
    Refusal("spec.maintenance.windows[0].schedule", SCHEDULE, windows("@daily", "4h")),
    Refusal("spec.maintenance.windows[0].timeZone", ZONE, windows("0 2 * * SUN", "4h", timeZone="../etc")),
    Refusal("spec.maintenance.windows[0].duration", DURATION, windows("0 2 * * SUN", "0s")),
    Refusal("spec.networkPolicy.mode", "supported values", {"networkPolicy": {"mode": "Strict"}}),
    *(
        Refusal("spec.networkPolicy.mode", RESTRICTED, {"networkPolicy": {**mode, peers: [EVERYWHERE]}})
        for mode, peers in (({}, "clientFrom"), ({"mode": "None"}, "apiFrom"), ({}, "adminFrom"))
    ),
    Refusal("spec.networkPolicy.mode", RESTRICTED, {"networkPolicy": {"egress": [{"to": [EVERYWHERE]}]}}),
    Refusal("spec.networkPolicy.clientFrom[0]", PEER, restricted(clientFrom=[{}])),
    Refusal(
        "spec.networkPolicy.apiFrom[0]", PEER, restricted(apiFrom=[{"podSelector": {}, "ipBlock": {"cidr": "::/0"}}])
    ),
    Refusal(
        "spec.networkPolicy.adminFrom[0].ipBlock.cidr",
        "must be a range of addresses like 10.0.0.0/8 or fd00::/8",
        restricted(adminFrom=[{"ipBlock": {"cidr": "10.0.0.1"}}]),
    ),
    Refusal(
        "spec.networkPolicy.clientFrom[0].podSelector.matchExpressions[0].values",
        "values must be set for In and NotIn, and only for them",
        restricted(clientFrom=[{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}]),
    ),
    Refusal(
        "spec.networkPolicy.egress[0].ports[0].port",
        "must be a port's number from 1 to 65535, or its name like https",
        restricted(egress=[{"ports": [{"port": 0}]}]),
    ),
    Refusal(
        "spec.networkPolicy.egress[0].ports[0].endPort",
        "endPort must not be below port, which must be a number",
        restricted(egress=[{"ports": [{"port": "http", "endPort": 90}]}]),
    ),
    Refusal("spec.networkPolicy.egress", EGRESS, {**restricted(), "hooks": {"rpc": {"url": "http://backend/rpc"}}}),
    Refusal("spec.networkPolicy.egress", EGRESS, {**restricted(), "tracing": {"endpoint": "http://collector:4318"}}),
    Refusal(
        "spec.networkPolicy.egress",
        EGRESS,
        {
            **restricted(),
            "backplane": {"redis": {"external": {"url": {"secretKeyRef": {"name": "redis", "key": "url"}}}}},
        },
    ),
    Refusal(
        "spec.networkPolicy.egress", EGRESS, {**restricted(), "auth": {"jwks": {"url": "https://id.example/keys"}}}
    ),
)
"""Cases: one for each way to violate a rule or a bound."""
