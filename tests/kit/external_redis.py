"""A user's own Redis in pods of the test cluster: with sentinels, or a Redis Cluster; with TLS and an ACL user.

Pods have host names, which the certificate is for: sentinels and nodes name them to servers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.certificates import Mount
from tests.kit.deadline import eventually
from tests.kit.document import text_at
from tests.kit.kube import CONTAINER_SECURITY, POD_SECURITY, Kube, is_ready

NAME = "own-redis"
USER = "realtime"
PASSWORD, USER_PASSWORD, SENTINEL_PASSWORD = "own password", "password-of-user", "password-of-sentinels"
PRIMARY_NAME = "main"
PORT, SENTINEL_PORT = 6379, 26379
KEY_CA, KEY_PASSWORD, KEY_SENTINEL = "ca.crt", "password", "sentinel-password"
READY_SECONDS = 60

TLS = (
    "--port 0 --tls-cert-file /tls/tls.crt --tls-key-file /tls/tls.key --tls-ca-cert-file /tls/ca.crt"
    " --tls-auth-clients no --tls-replication yes --dir /tmp --save '' --appendonly no"
)
DATA = f"""exec redis-server {TLS} --tls-port {PORT} --requirepass '{PASSWORD}' --masterauth '{PASSWORD}' \
--user {USER} on '>{USER_PASSWORD}' '~*' '&*' +@all -@admin -@dangerous +info +role +cluster"""
SENTINEL = f"""cat > /tmp/sentinel.conf <<END
requirepass {SENTINEL_PASSWORD}
sentinel sentinel-pass {SENTINEL_PASSWORD}
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip HOST
sentinel monitor {PRIMARY_NAME} FIRST {PORT} 2
sentinel down-after-milliseconds {PRIMARY_NAME} 2000
sentinel auth-pass {PRIMARY_NAME} "{PASSWORD}"
END
exec redis-server /tmp/sentinel.conf --sentinel {TLS} --tls-port {SENTINEL_PORT}"""


@dataclass(frozen=True, slots=True)
class ExternalRedisPods:
    """Pods of an external Redis in the namespace of `kube`."""

    kube: Kube
    image: str

    def host(self, pod: str) -> str:
        """Return the host name of a pod."""
        return f"{pod}.{NAME}.{self.kube.namespace}.svc"

    async def ask(self, pod: str, *words: str, port: int = PORT, password: str = PASSWORD) -> str:
        """Return the printed answer of Redis to a command, as the default user."""
        return await self.kube.kubectl(
            "exec", pod, "--", "redis-cli", "--tls", "--cacert", "/tls/ca.crt", "-p", str(port), "-a", password,
            "--no-auth-warning", *words,
        )  # fmt: skip

    async def _start(self, commands: dict[str, str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            mount = Mount(Path(folder) / "tls", names=[f"*.{NAME}.{self.kube.namespace}.svc"])
            mount.issue()
            files = {path.name: path.read_text() for path in (mount.authority, mount.certificate, mount.key)}
        login = {KEY_PASSWORD: USER_PASSWORD, KEY_SENTINEL: SENTINEL_PASSWORD}
        await self.kube.apply(
            _secret(f"{NAME}-tls", files),
            _secret(NAME, login),
            _headless_service(),
            *(self._pod(name, command) for name, command in commands.items()),
        )
        for name in commands:
            await self.kube.wait_for("pods", name, is_ready, what=f"{name} is ready", within=READY_SECONDS)

    def _pod(self, name: str, command: str) -> JsonObject:
        container: JsonObject = {
            "name": "redis",
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", command.replace("HOST", self.host(name)).replace("FIRST", self.host(data_pod(0)))],
            "readinessProbe": {"tcpSocket": {"port": PORT if "--sentinel" not in command else SENTINEL_PORT},
                               "periodSeconds": 1},
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
        }  # fmt: skip
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": NAME}},
            "spec": {
                "hostname": name,
                "subdomain": NAME,
                "containers": [container],
                "volumes": [{"name": "tls", "secret": {"secretName": f"{NAME}-tls"}}],
                "securityContext": POD_SECURITY,
                "terminationGracePeriodSeconds": 1,
            },
        }


class SentinelPods(ExternalRedisPods):
    """A primary, a replica and three sentinels."""

    @property
    def data(self) -> Sequence[str]:
        """Names of the pods of primary and replica."""
        return [data_pod(0), data_pod(1)]

    async def start(self) -> None:
        """Start all, and wait until the sentinels know each other and the replica."""
        announce = "--replica-announce-ip HOST"
        sentinels = {f"{NAME}-sentinel-{number}": SENTINEL for number in range(3)}
        data = {
            data_pod(0): f"{DATA} {announce}",
            data_pod(1): f"{DATA} {announce} --replicaof FIRST {PORT} --repl-diskless-sync-delay 0",
        }
        await self._start({**data, **sentinels})
        await eventually(self._known, all, what="sentinels know all", within=READY_SECONDS)

    def spec(self) -> JsonObject:
        """Return the spec's backplane for it."""
        addresses = [f"{self.host(f'{NAME}-sentinel-{number}')}:{SENTINEL_PORT}" for number in range(3)]
        sentinel: JsonObject = {
            "masterName": PRIMARY_NAME, "addresses": [*addresses], "password": secret_value(NAME, KEY_SENTINEL),
        }  # fmt: skip
        return _backplane(sentinel=sentinel)

    async def primary(self) -> str:
        """Return the name of the primary's pod by the first sentinel."""
        answer = await self._sentinel(0, "sentinel", "get-master-addr-by-name", PRIMARY_NAME)
        return answer.partition(".")[0]

    async def fail_over(self) -> str:
        """Make the replica the primary as the guide says; return the new primary's pod."""
        former = await self.primary()
        await self.ask(former, "client", "pause", "10000", "WRITE")
        assert (await self.ask(former, "wait", "1", "1000")).strip() == "1", "the replica lags"
        await self._sentinel(0, "sentinel", "failover", PRIMARY_NAME)
        return await eventually(self.primary, lambda pod: pod != former, what="another primary", within=READY_SECONDS)

    async def _sentinel(self, number: int, *words: str) -> str:
        return await self.ask(f"{NAME}-sentinel-{number}", *words, port=SENTINEL_PORT, password=SENTINEL_PASSWORD)

    async def _known(self) -> list[bool]:
        known = [await self._sentinel(number, "sentinel", "master", PRIMARY_NAME) for number in range(3)]
        return ["num-slaves\n1\n" in one and "num-other-sentinels\n2\n" in one for one in known]


class ClusterPods(ExternalRedisPods):
    """A Redis Cluster of three primaries, which are named by host names."""

    async def start(self) -> None:
        """Start all, and wait until the cluster works."""
        options = (
            "--cluster-enabled yes --tls-cluster yes --cluster-announce-hostname HOST"
            " --cluster-preferred-endpoint-type hostname"
        )
        await self._start({data_pod(number): f"{DATA} {options}" for number in range(3)})
        pods = [await self.kube.get("pods", data_pod(number)) for number in range(3)]
        addresses = [f"{text_at(pod, 'status', 'podIP')}:{PORT}" for pod in pods]
        await self.ask(data_pod(0), "--cluster", "create", *addresses, "--cluster-yes")
        await eventually(self._hosts, lambda found: len(found) == 3, what="nodes know host names", within=READY_SECONDS)

    def spec(self) -> JsonObject:
        """Return the spec's backplane for it."""
        return _backplane(cluster={"addresses": [f"{self.host(data_pod(0))}:{PORT}"], "partitions": 8})

    async def keys(self) -> list[int]:
        """Return the number of keys of each primary."""
        return [int(await self.ask(data_pod(number), "dbsize")) for number in range(3)]

    async def _hosts(self) -> set[str]:
        slots = [await self.ask(data_pod(number), "cluster", "slots") for number in range(3)]
        known = [{word for word in one.split() if word.startswith(f"{NAME}-") and "." in word} for one in slots]
        return set.intersection(*known)


def data_pod(number: int) -> str:
    """Return the name of a pod with data."""
    return f"{NAME}-{number}"


def secret_value(name: str, key: str) -> JsonObject:
    """Return the value of a field that is in a Secret."""
    return {"secretKeyRef": {"name": name, "key": key}}


def _backplane(**place: JsonValue) -> JsonObject:
    login: JsonObject = {"username": USER, "password": secret_value(NAME, KEY_PASSWORD)}
    return {"redis": {"external": {**place, **login, "tls": {"ca": secret_value(f"{NAME}-tls", KEY_CA)}}}}


def _secret(name: str, values: dict[str, str]) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {**values}}


def _headless_service() -> JsonObject:
    spec: JsonObject = {
        "clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"app": NAME}, "ports": [{"port": PORT}],
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}
