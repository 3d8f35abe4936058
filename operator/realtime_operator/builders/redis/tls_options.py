"""TLS of the managed Redis: its Secret, the options of its programs, and how they take a renewed certificate."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_certificate import KEY_AUTHORITY, KEY_CERTIFICATE, KEY_PRIVATE_KEY
from realtime_operator.builders.pods import pod

VOLUME = "tls"
FILES = (KEY_AUTHORITY, KEY_CERTIFICATE, KEY_PRIVATE_KEY)
AUTHORITY, CERTIFICATE, PRIVATE_KEY = (f"{naming.REDIS_TLS_DIRECTORY}/{name}" for name in FILES)

OWN_POD = " --tls --insecure"
"""Options of redis-cli for a program of the same pod, over loopback: it is reached also while its certificate is of a
former authority, to make it take the new one."""
VERIFIED = f" --tls --cacert {AUTHORITY}"
"""Options of redis-cli for other pods, and for readiness: the certificate must be of the authority."""

LISTEN = (
    f"--port 0 --tls-port {{port}} --tls-cert-file {CERTIFICATE} --tls-key-file {PRIVATE_KEY}"
    f" --tls-ca-cert-file {AUTHORITY} --tls-auth-clients no"
)

FOLLOW = f"""
shown=$(cat {AUTHORITY} {CERTIFICATE})
follow() {{
  files=$(cat {AUTHORITY} {CERTIFICATE}) && [ "$files" != "$shown" ] && renew && shown=$files
}}"""
"""Definition of `follow`, which calls `renew` when the files are no longer those of the program's start."""

RELOAD = f"""
renew() {{ echo 'CONFIG SET tls-cert-file {CERTIFICATE}' | call | grep -q OK; }}"""
"""`renew` of Redis: to set the name of the file, even to the same one, makes it read all three files again."""

RESTART = """
renew() { sleep $((${POD_NAME##*-} * 15)); echo SHUTDOWN | call; }"""
"""`renew` of a sentinel, which has no command to read files again: its container starts again, one after the other."""


def tls_secret(cluster: RealtimeCluster) -> str | None:
    """Return the name of the Secret with the certificate; None without TLS or a managed Redis."""
    managed = cluster.spec.backplane.managed
    if managed is None or managed.tls is None:
        return None
    reference = managed.tls.secret_ref
    return naming.redis_certificate(cluster.metadata.name) if reference is None else reference.name


def is_generated(cluster: RealtimeCluster) -> bool:
    """Return True when the operator makes the certificate of the managed Redis."""
    managed = cluster.spec.backplane.managed
    return managed is not None and managed.tls is not None and managed.tls.secret_ref is None


def tls_volume(secret: str) -> JsonObject:
    """Build the volume of a Redis pod; a pod waits for a Secret that does not exist yet."""
    return pod.secret_volume(VOLUME, secret, {name: name for name in FILES})


def listen_options(port: int, *, tls: bool) -> str:
    """Return the options of redis-server about its port."""
    return LISTEN.format(port=port) if tls else f"--port {port}"
