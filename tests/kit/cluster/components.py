"""Configuration and start of the components of a cluster."""

from __future__ import annotations

import json
from pathlib import Path

from tests.kit.cluster.layout import PAUSE_IMAGE, Layout
from tests.kit.cluster.process import inside, start, succeeds, wait_for

CGROUP_ROOT = Path("/sys/fs/cgroup")

CONTAINERD = """\
version = 2
root = "{disk}/containerd"
state = "{state}/containerd"
oom_score = 0
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"{shim}
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "runc"
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
"""

# The audit log shows who writes what: tests count the operator's writes in it.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:nodes", "system:masters"]},
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "None"},
    ],
}

COREDNS = """\
.:53 {{
    bind {address}
    errors
    kubernetes cluster.local {{
        kubeconfig {state}/pki/coredns.kubeconfig
    }}
    cache 2
}}
"""


def _write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def start_containerd(layout: Layout) -> None:
    """Start containerd with a root, a state and a socket of the cluster's own."""
    built = layout.containerd
    config = CONTAINERD.format(
        disk=layout.disk,
        state=layout.state,
        socket=layout.containerd_socket,
        pause=PAUSE_IMAGE,
        shim="" if built is None else f'\n      runtime_path = "{built / "containerd-shim-runc-v2"}"',
    )
    address_management = {
        "type": "host-local",
        "dataDir": str(layout.state / "cni-ipam"),
        "ranges": [[{"subnet": layout.pod_range}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    plugins = [
        {**bridge, "ipam": address_management},
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    ]
    network = {"cniVersion": "0.4.0", "name": layout.name, "plugins": plugins}
    _write(layout.state / "cni" / "10-bridge.conflist", network)
    program = "containerd" if built is None else built / "containerd"
    start(layout, "containerd", program, "--config", _write(layout.state / "containerd.toml", config))
    version = ["ctr", "-a", str(layout.containerd_socket), "version"]
    wait_for(layout, "containerd", lambda: succeeds(version), timeout=20, log="containerd")


def start_control_plane(layout: Layout) -> None:
    """Start etcd and the API server, and, when its roles are there, the controller manager and the scheduler."""
    pki, programs = layout.state / "pki", layout.programs
    # The data does not outlive the cluster, so waiting for the disk would only cost time.
    start(layout, "etcd", "etcd", "--data-dir", layout.disk / "etcd", "--unsafe-no-fsync",
          "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
          "--listen-peer-urls=http://127.0.0.1:2380")  # fmt: skip
    start(
        layout, "kube-apiserver", programs / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=0.0.0.0", f"--advertise-address={layout.node_address}", "--secure-port=6443",
        f"--service-cluster-ip-range={layout.service_range}", f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key", f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP", f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--api-audiences=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement", "--allow-privileged=true",
        f"--cert-dir={layout.state}/apiserver", f"--audit-log-path={layout.audit_log}",
        f"--audit-policy-file={_write(layout.state / 'audit-policy.json', AUDIT_POLICY)}",
    )  # fmt: skip
    ready = kubectl(layout, "get", "--raw", "/readyz")
    wait_for(layout, "the API server", lambda: succeeds(ready), timeout=60, log="kube-apiserver")
    start(
        layout, "kube-controller-manager", programs / "kube-controller-manager",
        f"--kubeconfig={pki}/controller-manager.kubeconfig",
        f"--authentication-kubeconfig={pki}/controller-manager.kubeconfig",
        f"--authorization-kubeconfig={pki}/controller-manager.kubeconfig",
        f"--service-account-private-key-file={pki}/service-accounts.key", f"--root-ca-file={pki}/ca.crt",
        "--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
        f"--flex-volume-plugin-dir={layout.disk}/kubelet/volume-plugins",
        f"--cert-dir={layout.state}/controller-manager",
    )  # fmt: skip
    start(
        layout, "kube-scheduler", programs / "kube-scheduler", f"--kubeconfig={pki}/scheduler.kubeconfig",
        f"--authentication-kubeconfig={pki}/scheduler.kubeconfig",
        f"--authorization-kubeconfig={pki}/scheduler.kubeconfig", "--leader-elect=false", "--bind-address=127.0.0.1",
        f"--cert-dir={layout.state}/scheduler",
    )  # fmt: skip


def start_node(layout: Layout) -> None:
    """Start the kubelet, kube-proxy and the DNS server, and wait until the node is ready."""
    make_cgroups(layout)
    pki, state = layout.state / "pki", layout.state
    resolver = _write(state / "resolv.conf", "nameserver 127.0.0.1\n")
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"webhook": {"enabled": True}, "x509": {"clientCAFile": f"{pki}/ca.crt"}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "address": layout.node_address,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "enforceNodeAllocatable": ["pods"],
        "failSwapOn": False,
        "failCgroupV1": False,
        "clusterDNS": [layout.node_address],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolver),
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "maxPods": 100,
        "nodeStatusUpdateFrequency": "5s",
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        # /var/log/pods would be shared: each kubelet removes what it does not know.
        "podLogsDir": f"{layout.disk}/kubelet/pod-logs",
        "volumePluginDir": f"{layout.disk}/kubelet/volume-plugins",
        # Tests wait for Secrets and probes: seconds count.
        "syncFrequency": "10s",
        "serializeImagePulls": False,
    }
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{pki}/proxy.kubeconfig"},
        "mode": "iptables",
        "hostnameOverride": "node1",
        "clusterCIDR": layout.pod_range,
        "bindAddress": layout.node_address,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    start(layout, "kubelet", layout.programs / "kubelet", f"--config={_write(state / 'kubelet.json', kubelet)}",
          f"--kubeconfig={pki}/kubelet.kubeconfig", "--hostname-override=node1", f"--node-ip={layout.node_address}",
          f"--root-dir={layout.disk}/kubelet", f"--cert-dir={state}/kubelet-certificates")  # fmt: skip
    start(layout, "kube-proxy", layout.programs / "kube-proxy", f"--config={_write(state / 'proxy.json', proxy)}")
    corefile = _write(state / "Corefile", COREDNS.format(address=layout.node_address, state=state))
    start(layout, "coredns", layout.coredns, "-conf", corefile)
    ready = kubectl(layout, "wait", "--for=condition=Ready", "node/node1", "--timeout=0")
    wait_for(layout, "the node", lambda: succeeds(ready), timeout=60, log="kubelet")


def kubectl(layout: Layout, *arguments: str) -> list[str]:
    """Return the command line of kubectl as the cluster's administrator."""
    return inside(layout, layout.programs / "kubectl", "--kubeconfig", layout.kubeconfig, *arguments)


def cgroup_hierarchies() -> list[Path]:
    """Return all mounted cgroup hierarchies; one with cgroup v2."""
    if (CGROUP_ROOT / "cgroup.controllers").exists():
        return [CGROUP_ROOT]
    return [folder for folder in CGROUP_ROOT.iterdir() if folder.is_dir() and not folder.is_symlink()]


def make_cgroups(layout: Layout) -> None:
    """Create the folder for the kubelet's pods in every hierarchy."""
    for hierarchy in cgroup_hierarchies():
        folder = hierarchy / layout.name
        folder.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / setting).exists() and (folder / setting).exists():
                (folder / setting).write_text((hierarchy / setting).read_text())
