"""The pods of a managed Redis with failover, as processes: the containers' own programs in network namespaces.

Each pod has an address on a bridge of this host, and host names as the headless Service gives them. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_certificate import KEY_AUTHORITY
from realtime_operator.builders.pods import pod
from realtime_operator.builders.redis.failover_script import FORCE_TRIES
from realtime_operator.builders.redis.pod import node_suffix
from realtime_operator.builders.redis.script import DATA_DIRECTORY, OVERLAP_SECONDS
from realtime_operator.builders.redis.stateful_set import build_redis_stateful_set
from tests.kit.cut_off import NETWORK
from tests.kit.document import dig, objects_at, text_at
from tests.kit.generated_certificates import GeneratedCertificates
from tests.kit.manifests import SETTINGS, as_run, cluster_of, with_redis_password
from tests.kit.redis_answer import Answer, TrustedHost, ask, fields, texts
from tests.kit.redis_process import wait_until

PASSWORD = "pass 'word\" with \\ signs"
FAILOVER: JsonObject = {"mode": "Failover"}
NAME, SUFFIX = naming.redis(cluster_of().metadata.name), node_suffix(cluster_of())
PLACES = {
    naming.REDIS_TLS_DIRECTORY: "tls", naming.REDIS_CREDENTIALS_DIRECTORY: "credentials", DATA_DIRECTORY: "data",
    pod.TEMPORARY_DIRECTORY: "tmp",
}  # fmt: skip
"""Folders of a pod by their path in the containers."""
FOLDERS = re.compile("|".join(rf"(?<![\w.]){re.escape(there)}\b" for there in PLACES))
PODS = 3
READY_SECONDS = 90.0
SHORT_OVERLAP_SECONDS = 16
"""Time for which both passwords are valid."""
STOP_SECONDS = 40
IN_NAMESPACE = 'mount --bind "$1" /etc/hosts && exec env PATH="$3" /bin/sh -c "$2"'
TOOLS = ("cat", "date", "grep", "head", "mv", "sed", "sh", "sleep", "timeout")
"""Programs of an image of Redis that the containers' own programs use, beside those of Redis."""


def _containers(managed: JsonObject) -> dict[str, JsonObject]:
    cluster = cluster_of({"backplane": {"redis": {"managed": managed}}})
    manifest = build_redis_stateful_set(cluster, SETTINGS, with_redis_password(cluster))
    assert manifest is not None
    return {text_at(one, "name"): one for one in objects_at(manifest, "spec", "template", "spec", "containers")}


@dataclass
class RedisPodProcess:
    """One pod; `address` is its IP address."""

    number: int
    namespace: str
    address: str
    folder: Path
    path: str
    """Folders with the programs that its image has."""
    managed: JsonObject = field(default_factory=lambda: FAILOVER)
    """The spec of the managed Redis."""
    certificates: GeneratedCertificates | None = None
    """Certificates in the pod's Secret; None without TLS."""
    password: str = PASSWORD
    """Password by which the pod is asked."""
    force_tries: int = FORCE_TRIES
    """Looks of a pod that lost its data before it asks for a failover itself."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Host name of the pod."""
        return f"{NAME}-{self.number}.{SUFFIX}"

    def start(self) -> None:
        """Start both containers, with the data that there is."""
        for name in ("credentials", "data", "tmp"):
            (self.folder / name).mkdir(exist_ok=True, parents=True)
        self.give_password(self.password)
        self.give_certificate()
        for name, container in self._containers.items():
            self._start(name, container)

    def _start(self, name: str, container: JsonObject) -> None:
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self._command(dig(container, "command")), env=self._environment, stdout=log, stderr=log
            )

    def log(self, name: str) -> Path:
        """Return the file with all that a container has printed."""
        return self.folder / f"{name}.log"

    def start_ended(self) -> list[str]:
        """Start containers that have ended by themselves again, as the kubelet does; return their names."""
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        for name in ended:
            self._start(name, self._containers[name])
        return ended

    def give_certificate(self) -> None:
        """Write the certificates of the Secret into the pod at once, as the kubelet does."""
        if self.certificates is not None:
            self.certificates.mount(self.folder / "tls")

    def give_password(self, password: str) -> None:
        """Write the value of the Secret into the pod, as the kubelet does."""
        (self.folder / "credentials" / naming.KEY_REDIS_PASSWORD).write_text(password)

    def stop(self) -> None:
        """Stop as the kubelet does: a sentinel at once, Redis after its hook."""
        redis = self.processes["redis"]
        for name, process in self.processes.items():
            if name != "redis":
                process.terminate()
        hook = self._command(dig(self._containers["redis"], "lifecycle", "preStop", "exec", "command"))
        subprocess.run(hook, env=self._environment, capture_output=True, timeout=STOP_SECONDS, check=False)
        redis.terminate()
        for process in self.processes.values():
            process.wait(timeout=STOP_SECONDS)

    def kill(self) -> None:
        """Kill both containers. Idempotent."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()

    def lose_data(self) -> None:
        """Remove the data volume, as with the pod; it must not run."""
        shutil.rmtree(self.folder / "data")

    def ready(self) -> bool:
        """Return True when the readiness probes of both containers succeed."""
        return all(
            subprocess.run(
                self._command(dig(container, "readinessProbe", "exec", "command")),
                env=self._environment, capture_output=True, timeout=10, check=False,
            ).returncode == 0
            for container in self._containers.values()
        )  # fmt: skip

    def ask(self, *words: str | int, port: int = naming.PORT_REDIS) -> Answer:
        """Send a command; raises OSError and redis.ResponseError."""
        return ask((self.address, port), self.password, *words, trusted=self.trusted)

    @property
    def trusted(self) -> TrustedHost | None:
        """Host name and authority by which the pod is verified; None without TLS."""
        return None if self.certificates is None else TrustedHost(self.host, self.folder / "tls" / KEY_AUTHORITY)

    def role(self) -> str:
        """Return the first word of the answer to ROLE."""
        answer = self.ask("ROLE")
        assert isinstance(answer, list)
        first = answer[0]
        return first.decode() if isinstance(first, bytes) else str(first)

    def primary(self) -> str:
        """Return the host name of the primary by this pod's sentinel."""
        answer = self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", naming.REDIS_MASTER, port=naming.PORT_SENTINEL)
        return texts(answer)[0]

    def sentinel(self) -> str:
        """Return the id of this pod's sentinel."""
        return texts(self.ask("SENTINEL", "MYID", port=naming.PORT_SENTINEL))[0]

    def known_sentinels(self) -> set[str]:
        """Return the ids of the other sentinels that this pod's one counts, whether they are there or not."""
        answer = self.ask("SENTINEL", "SENTINELS", naming.REDIS_MASTER, port=naming.PORT_SENTINEL)
        assert isinstance(answer, list)
        return {fields(one)["runid"] for one in answer}

    @property
    def _containers(self) -> dict[str, JsonObject]:
        return _containers(self.managed)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "POD_NAME": f"{NAME}-{self.number}"}

    def _command(self, words: object) -> list[str]:
        assert isinstance(words, list)
        program = FOLDERS.sub(lambda found: f"{self.folder}/{PLACES[found[0]]}", as_run(str(words[-1])))
        for part in (1, 2):
            program = program.replace(f"+ {OVERLAP_SECONDS // part})", f"+ {SHORT_OVERLAP_SECONDS // part})")
        program = program.replace(f"tries % {FORCE_TRIES}", f"tries % {self.force_tries}")
        hosts = str(self.folder.parent / "hosts")
        inner = ["unshare", "--mount", "sh", "-c", IN_NAMESPACE, "sh", hosts, program, self.path]
        return ["ip", "netns", "exec", self.namespace, *inner]


def wait_settled(pods: Sequence[RedisPodProcess], within: float = READY_SECONDS) -> RedisPodProcess:
    """Wait until all are ready, and all sentinels name one primary and know each other and no others; return it."""

    def settled() -> bool:
        if not all(one.ready() for one in pods) or len({one.primary() for one in pods}) != 1:
            return False
        expected = (str(len(pods) - 1), str(len(pods) - 1), "master")
        asked = [one.ask("SENTINEL", "MASTER", naming.REDIS_MASTER, port=naming.PORT_SENTINEL) for one in pods]
        known = [fields(answer) for answer in asked]
        if not all((one["num-slaves"], one["num-other-sentinels"], one["flags"]) == expected for one in known):
            return False
        return all(one.known_sentinels() | {one.sentinel()} == {other.sentinel() for other in pods} for one in pods)

    wait_until(settled, "all pods are ready, and sentinels agree", within, every=0.3)
    return next(one for one in pods if one.host == pods[0].primary())


@contextlib.contextmanager
def running_pods(
    folder: Path, programs: Mapping[str, Path] | None = None, *, tls: bool = False, alone: bool = False
) -> Iterator[list[RedisPodProcess]]:
    """Run three pods while the body runs, with TLS by certificates as the operator makes them if asked for.

    `alone`: the first one is not one of three yet.

    `programs` are those of another Redis than the installed one, by the names that they have in its image, which has no
    others but TOOLS.
    """
    path = os.environ["PATH"] if programs is None else str(_image(folder / "image", programs))
    managed: JsonObject = {**FAILOVER, "tls": {}} if tls else FAILOVER
    certificates = GeneratedCertificates() if tls else None
    identity = secrets.token_hex(3)
    bridge = f"br-{identity}"
    first = NETWORK[secrets.randbelow(NETWORK.num_addresses // 8) * 8]
    pods = [
        RedisPodProcess(
            number,
            f"pod{number}-{identity}",
            str(first + 2 + number),
            folder / f"pod-{number}",
            path,
            managed,
            certificates,
        )
        for number in range(PODS)
    ]
    (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{one.address} {one.host}\n" for one in pods))
    with contextlib.ExitStack() as stack:
        _run("ip", "link", "add", bridge, "type", "bridge")
        stack.callback(_run, "ip", "link", "del", bridge)
        _run("ip", "address", "add", f"{first + 1}/29", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        for one in pods:
            _run("ip", "netns", "add", one.namespace)
            stack.callback(_run, "ip", "netns", "del", one.namespace)
            outer, inside = f"o{one.number}-{identity}", ("ip", "netns", "exec", one.namespace, "ip")
            _run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", one.namespace)
            _run("ip", "link", "set", outer, "master", bridge, "up")
            _run(*inside, "address", "add", f"{one.address}/29", "dev", "eth0")
            _run(*inside, "link", "set", "eth0", "up")
            _run(*inside, "link", "set", "lo", "up")
            stack.callback(one.kill)
        pods[0].managed = {} if alone else managed
        for one in pods:
            one.start()
        yield pods


def _image(folder: Path, programs: Mapping[str, Path]) -> Path:
    """Make a folder with these programs and TOOLS alone; return it."""
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    for name, program in programs.items():
        (folder / name).symlink_to(program)
    return folder


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=10)
