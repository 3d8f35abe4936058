"""The part of the server's configuration that describes the user's backend."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_hooks import ChannelHook, EventHook, Hook, HookEndpoint, Hooks
from realtime_operator.api.v1alpha1_server import SecretKeySelector
from realtime_operator.builders.configuration.server_defaults import server_word

SECRET_FILE = "secret"  # noqa: S105 - the name of a file
CA_FILE = "ca.pem"


def hooks_config(cluster: RealtimeCluster) -> JsonObject:
    """Build the hooks' configuration. Durations in seconds."""
    hooks = cluster.spec.hooks
    return {
        "connect": _endpoint(hooks.connect),
        "refresh": _endpoint(hooks.refresh),
        "subscribe": _endpoint(hooks.subscribe),
        "sub_refresh": _endpoint(hooks.sub_refresh),
        "publish": _endpoint(hooks.publish),
        "rpc": _endpoint(hooks.rpc),
        "events": _endpoint(hooks.events),
        "forward_headers": [*hooks.forward_headers],
        "secret_file": None if hooks.signing_key is None else f"{naming.HOOKS_DIRECTORY}/{SECRET_FILE}",
        "ca_file": None if hooks.ca is None else f"{naming.HOOKS_DIRECTORY}/{CA_FILE}",
    }


def hooks_files(hooks: Hooks) -> dict[str, SecretKeySelector]:
    """Return the Secret keys to mount for hooks, by file name."""
    files = {SECRET_FILE: hooks.signing_key, CA_FILE: hooks.ca}
    return {file: value.secret_key_ref for file, value in files.items() if value is not None}


def _endpoint(endpoint: HookEndpoint | None) -> JsonValue:
    if endpoint is None:
        return None
    config: JsonObject = {
        "url": endpoint.url,
        "timeout_seconds": endpoint.timeout_seconds,
        "concurrency": endpoint.concurrency,
    }
    match endpoint:
        case ChannelHook():
            config |= {"when_down": server_word(endpoint.when_down), "namespaces": [*endpoint.namespaces]}
        case Hook():
            config |= {"when_down": server_word(endpoint.when_down)}
        case EventHook():
            config |= {
                "disconnects": "Disconnects" in endpoint.types,
                "channels": "Channels" in endpoint.types,
                "queue_size": endpoint.queue_size,
            }
    return config
