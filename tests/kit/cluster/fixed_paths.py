"""Paths that the kubelet, CNI and containerd write to regardless of their configuration.

In the cluster's mount namespace each is a file system of its own, so that nothing is written outside, and no kubelet
removes what another one has made. The empty folders that they are mounted on stay: another cluster may use them too.
"""

from __future__ import annotations

from pathlib import Path

from tests.kit.cluster.layout import Layout

CONTAINER_LOGS = Path("/var/log/containers")
"""Folder of the kubelet's links to logs (kuberuntime/legacy.go)."""
CNI_CACHE = Path("/var/lib/cni")
"""Folder of libcni's cache of results (libcni/api.go)."""
DEVICE_PLUGINS = Path("/var/lib/kubelet")
"""The kubelet's socket for device plugins, whatever its `--root-dir` is (deviceplugin/v1beta1/constants.go)."""
SHIMS = Path("/run/containerd")
"""Sockets of containerd's shims (runtime/v2/shim/util_unix.go), and runc's state."""
FIXED_PATHS = (CONTAINER_LOGS, CNI_CACHE, DEVICE_PLUGINS, SHIMS)


def mount_script() -> str:
    """Return shell commands, joined by `&&`, that mount a private file system on each path."""
    return " && ".join(f"mount -t tmpfs {path.name} {path}" for path in FIXED_PATHS)


def make_mount_points() -> None:
    """Create missing folders. Idempotent."""
    for path in FIXED_PATHS:
        path.mkdir(exist_ok=True)


def written_outside(layout: Layout, logs: Path = CONTAINER_LOGS, cache: Path = CNI_CACHE / "results") -> list[Path]:
    """Return this cluster's files in folders that all clusters of the machine share.

    There are none unless the namespace lacked a mount: links into the kubelet's folder, and CNI's notes of containers
    in the cluster's network, each with that of the same container's loopback interface.
    """
    links = [link for link in sorted(logs.glob("*.log")) if link.is_symlink()]
    ours = [link for link in links if link.readlink().is_relative_to(layout.disk)]
    for note in sorted(cache.glob(f"{layout.name}-*-eth0")):
        container = note.name.removeprefix(f"{layout.name}-").removesuffix("-eth0")
        loopback = cache / f"cni-loopback-{container}-lo"
        ours += [note, *([loopback] if loopback.exists() else [])]
    return ours
