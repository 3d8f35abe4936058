"""A real kube-apiserver with etcd alone, as processes on loopback: no kubelet and no controllers, ready in seconds.

What they would do, a test does itself: it writes the status of pods, and nothing is deleted by owner references.
"""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.crd import build_crd
from realtime_operator.platforms.kubernetes.permissions import CLUSTERS, LEADER_ELECTION, WEBHOOK
from tests.kit.cluster.certificates import Authority, write_kubeconfig, write_service_account_keys
from tests.kit.cluster.layout import Layout
from tests.kit.document import parse
from tests.kit.redis_process import free_port

OPERATOR_USER = "realtime-operator"
"""Has exactly the permissions that the operator lists, in all namespaces."""
START_SECONDS = 60
STOP_SECONDS = 15
CALL_SECONDS = 30
CRD_PATH = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{naming.PLURAL}.{naming.GROUP}"
MERGE_PATCH = "application/merge-patch+json"

# All requests of users other than the administrator, so that tests and benchmarks can count them.
AUDIT_POLICY: JsonObject = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "userGroups": ["system:masters"]}, {"level": "Metadata"}],
}


class RefusedError(AssertionError):
    """The API server answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class ApiServer:
    """One API server with a folder, ports and an etcd of its own. Use it as a context manager.

    `crd` is another definition of RealtimeClusters than that of this checkout.
    """

    def __init__(self, crd: JsonObject | None = None) -> None:
        self._crd = build_crd() if crd is None else crd
        self._folder = Path(tempfile.mkdtemp(prefix="apiserver-"))
        self._port, self._etcd_port, self._peer_port = free_port(), free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._context = ssl.create_default_context()

    def __enter__(self) -> Self:
        """Start both and install the CRD and roles; a failure leaves no processes behind."""
        try:
            self._write_files()
            self._spawn_etcd()
            self.start()
            self.install_crd()
            self.grant(OPERATOR_USER, [permission.rule() for permission in (*CLUSTERS, *LEADER_ELECTION, *WEBHOOK)])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both and remove the folder."""
        for name in ("kube-scheduler", "kube-apiserver", "etcd"):
            self._end(name)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def audit_log(self) -> Path:
        """Path of the audit log: a line of JSON for each request of users other than the administrator."""
        return self._folder / "audit.log"

    def kubeconfig(self, user: str = "admin") -> Path:
        """Return the kubeconfig of a user: the administrator, the operator, or one made by `grant`."""
        return self._pki / f"{user}.kubeconfig"

    def start(self) -> None:
        """Start the API server with its previous data and port, and wait until it is ready."""
        pki = self._pki
        self._spawn(
            "kube-apiserver", Layout.from_environ().programs / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={self._port}",
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.250.0.0/16,fd00:250::/112",
            f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key", f"--service-account-key-file={pki}/service-accounts.pub",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC",
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
            # Without controllers no namespace gets its default ServiceAccount.
            "--disable-admission-plugins=ServiceAccount", f"--cert-dir={self._folder}/generated",
            f"--audit-log-path={self.audit_log}", f"--audit-policy-file={self._folder}/audit-policy.json",
        )  # fmt: skip
        self._wait("kube-apiserver", self._is_ready)

    def start_scheduler(self) -> None:
        """Start the scheduler: it binds pods to nodes, which are what a test has written."""
        config = self.kubeconfig()
        self._spawn(
            "kube-scheduler", Layout.from_environ().programs / "kube-scheduler", f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}", "--leader-elect=false",
            "--bind-address=127.0.0.1", f"--secure-port={free_port()}", f"--cert-dir={self._folder}/generated",
        )  # fmt: skip

    def stop(self) -> None:
        """Kill the API server (SIGKILL, as SIGTERM waits for watches to end); its data is kept."""
        process = self._processes.pop("kube-apiserver")
        process.kill()
        process.wait()

    def pause(self) -> None:
        """Suspend the API server: connections stay open without answers."""
        self._processes["kube-apiserver"].send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume a suspended API server."""
        self._processes["kube-apiserver"].send_signal(signal.SIGCONT)

    def install_crd(self) -> None:
        """Install the CRD and wait until RealtimeClusters are served."""
        self.call("POST", CRD_PATH.rpartition("/")[0], self._crd)
        collection = f"/apis/{naming.API_VERSION}/{naming.PLURAL}"
        self._wait("kube-apiserver", lambda: self._answers(collection))

    def remove_crd(self) -> None:
        """Delete the CRD, and thereby every RealtimeCluster, and wait until it is not served any more."""
        self.call("DELETE", CRD_PATH)
        self._wait("kube-apiserver", lambda: not self._answers(CRD_PATH))

    def grant(self, user: str, rules: list[JsonObject] | list[dict[str, list[str]]], namespace: str = "") -> None:
        """Create a user with a role of these rules, in one namespace or in all, and its kubeconfig."""
        self._issue(user)
        group = "/apis/rbac.authorization.k8s.io/v1"
        root, kind = (f"{group}/namespaces/{namespace}/", "") if namespace else (f"{group}/cluster", "Cluster")
        metadata: JsonObject = {"name": user}
        granted: list[JsonValue] = [dict[str, JsonValue](rule) for rule in rules]  # type: ignore[arg-type] # invariance
        self.call("POST", f"{root}roles", {"metadata": metadata, "rules": granted})
        self.call("POST", f"{root}rolebindings", {
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": f"{kind}Role", "name": user},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        })  # fmt: skip

    def call(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        """Send a request as the administrator; a PATCH is a merge patch. Raises RefusedError."""
        status, answer = self._ask(method, path, body)
        if status >= 400:
            raise RefusedError(status, answer.decode(errors="replace"))
        return parse(answer)

    def log(self) -> str:
        """Text of the API server's log."""
        return (self._folder / "kube-apiserver.log").read_text(errors="replace")

    @property
    def _pki(self) -> Path:
        return self._folder / "pki"

    def _write_files(self) -> None:
        self._pki.mkdir(mode=0o700)
        self._authority = Authority(self._pki)
        self._authority.issue("apiserver", None, "kube-apiserver", ("127.0.0.1", "localhost"))
        self._issue("admin", "system:masters")
        write_service_account_keys(self._pki)
        (self._folder / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))
        self._context.load_verify_locations(self._pki / "ca.crt")
        self._context.load_cert_chain(self._pki / "admin.crt", self._pki / "admin.key")

    def _issue(self, user: str, organization: str | None = None) -> None:
        self._authority.issue(user, organization, user)
        write_kubeconfig(self._pki, user, f"127.0.0.1:{self._port}")

    def _spawn_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        self._spawn(
            "etcd", "etcd", f"--data-dir={self._folder}/etcd", "--unsafe-no-fsync", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )  # fmt: skip

    def _spawn(self, name: str, *command: str | Path) -> None:
        """Start a process that ends with this one, also after a crash."""
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            ended = self._processes[name].poll()
            if ended is not None or time.monotonic() > deadline:
                log = (self._folder / f"{name}.log").read_text(errors="replace")[-4000:]
                why = f"ended with {ended}" if ended is not None else f"not ready after {START_SECONDS} s"
                raise RuntimeError(f"{name}: {why}\n{log}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        return self._answers("/readyz")

    def _answers(self, path: str) -> bool:
        try:
            return self._ask("GET", path, None)[0] == 200
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: JsonObject | None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=CALL_SECONDS)
        try:
            content_type = MERGE_PATCH if method == "PATCH" else "application/json"
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": content_type, "Accept": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
