"""Start and removal of a test cluster."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.kit.cluster import images
from tests.kit.cluster.certificates import write_certificates
from tests.kit.cluster.components import (
    cgroup_hierarchies,
    kubectl,
    start_containerd,
    start_control_plane,
    start_node,
)
from tests.kit.cluster.fixed_paths import written_outside
from tests.kit.cluster.layout import Layout
from tests.kit.cluster.network import open_namespaces, remove_network
from tests.kit.cluster.process import ClusterError, inside, read_pid, run, stop, succeeds
from tests.kit.cluster.programs import build_missing

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE = ("kubelet", "kube-proxy", "coredns")
INTERRUPT_SECONDS = 20


class Progress:
    """Prints lines with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._start:6.1f} s  {text}", flush=True)


def is_up(layout: Layout) -> bool:
    """Return True when the cluster answers and its node is ready."""
    if any(read_pid(layout, name) is None for name in ("holder", "containerd", *CONTROL_PLANE, *NODE)):
        return False
    return succeeds(kubectl(layout, "wait", "--for=condition=Ready", "node/node1", "--timeout=0"))


def up(layout: Layout, say: Progress) -> None:
    """Start the cluster unless it is up; the remains of a failed start are removed first."""
    if os.geteuid() != 0:
        raise ClusterError("a cluster can only be started by root: it makes namespaces, mounts and cgroups")
    if is_up(layout):
        say("the cluster is up already")
        return
    down(layout)
    build_missing(layout, say)
    for folder in (layout.state, layout.disk):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        _start(layout, say)
    except BaseException:
        down(layout)
        raise


def _start(layout: Layout, say: Progress) -> None:
    open_namespaces(layout)
    write_certificates(layout)
    start_containerd(layout)
    say("containerd runs")
    start_control_plane(layout)
    say("the control plane is ready")
    images.import_pause(layout, say)
    start_node(layout)
    say("the node is ready")


def down(layout: Layout) -> None:
    """Stop the cluster and remove all but the images' store, the logs and the built programs. Idempotent."""
    with contextlib.suppress(ClusterError):
        stop(layout, NODE)
        _remove_containers(layout)
    stop(layout, (*NODE, *CONTROL_PLANE))
    _unmount_kubelet(layout)
    stop(layout, ("containerd",))
    _kill_inside(layout)
    _kill_shims(layout)
    stop(layout, ("holder",))
    remove_network(layout)
    images.release_store(layout)
    for path in written_outside(layout):
        path.unlink(missing_ok=True)
    for folder in (layout.disk / "etcd", layout.disk / "kubelet", layout.state):
        shutil.rmtree(folder, ignore_errors=True)
    _remove_cgroups(layout)


def _remove_containers(layout: Layout) -> None:
    if read_pid(layout, "containerd") is None:
        return
    ctr = ("ctr", "-a", str(layout.containerd_socket), "-n", "k8s.io")
    for task in run(*ctr, "task", "ls", "-q").split():
        with contextlib.suppress(ClusterError):
            run(*inside(layout, *ctr, "task", "kill", "-s", "9", task), timeout=10)
    for container in run(*ctr, "container", "ls", "-q").split():
        for words in (("task", "rm", "-f", container), ("container", "rm", container)):
            with contextlib.suppress(ClusterError):
                run(*inside(layout, *ctr, *words), timeout=10)


def _unmount_kubelet(layout: Layout) -> None:
    """Unmount the volumes of pods, which would prevent the removal of the kubelet's folder."""
    if read_pid(layout, "holder") is None:
        return
    mounted = run(*inside(layout, "cat", "/proc/self/mountinfo"))
    points = [line.split()[4] for line in mounted.splitlines()]
    ours = [point for point in points if point.startswith((f"{layout.disk}/kubelet/", f"{layout.state}/"))]
    for point in sorted(ours, reverse=True):
        with contextlib.suppress(ClusterError):
            run(*inside(layout, "umount", "-l", point))


def _kill_inside(layout: Layout) -> None:
    """End all other processes in the cluster's mount namespace, such as leftovers of tests."""
    holder = read_pid(layout, "holder")
    if holder is None:
        return
    namespace = Path(f"/proc/{holder}/ns/mnt").readlink()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != holder:
            with contextlib.suppress(OSError):
                if (folder / "ns" / "mnt").readlink() == namespace:
                    os.kill(int(folder.name), signal.SIGKILL)


def _kill_shims(layout: Layout) -> None:
    """End containerd's shims that outlived it; they are identified by their socket."""
    marker = f"-address\0{layout.containerd_socket}\0".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if marker in (folder / "cmdline").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)


def _remove_cgroups(layout: Layout) -> None:
    deadline = time.monotonic() + 5
    for hierarchy in cgroup_hierarchies():
        top = hierarchy / layout.name
        while top.exists() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
            if top.exists():
                time.sleep(0.1)


def leftovers(layout: Layout) -> list[str]:
    """Return the remains of a stopped cluster: processes, mounts, namespaces, cgroups, files in shared folders.

    Empty when all is well.
    """
    found = [f"file {path}" for path in written_outside(layout)]
    folders = (layout.state, layout.disk, images.runtime_folder(layout))
    # Not the folders of a cluster whose name begins with this one's.
    ours = re.compile(f"({'|'.join(re.escape(str(folder)) for folder in folders)})(?![\\w.-])")
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if ours.search(line):
                    found.append(f"process {folder.name}: {line[:120]}")
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found += [f"mount {m}" for m in (*filter(ours.match, mounts), *images.abandoned_mounts(layout))]
    if (Path("/run/netns") / layout.name).exists():
        found.append(f"network namespace {layout.name}")
    found += [f"cgroup {h / layout.name}" for h in cgroup_hierarchies() if (h / layout.name).exists()]
    return found


def exec_inside(layout: Layout, command: list[str], environment: dict[str, str]) -> int:
    """Run a command inside the namespaces with the caller's terminal; return its exit code.

    An interrupt reaches the command too; it gets INTERRUPT_SECONDS to clean up after itself.
    """
    process = subprocess.Popen(inside(layout, *command), env={**os.environ, **environment})
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)
            process.wait(INTERRUPT_SECONDS)
        raise
    finally:
        process.kill()
        process.wait()
