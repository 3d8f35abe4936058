"""The cluster's network and mount namespaces: no packet leaves, and mounts are invisible outside."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.kit.cluster.fixed_paths import make_mount_points, mount_script
from tests.kit.cluster.layout import Layout
from tests.kit.cluster.process import inside, read_pid, run, wait_for, write_pid


def open_namespaces(layout: Layout) -> None:
    """Create the network namespace, and a process that holds the mount namespace. Idempotent."""
    if read_pid(layout, "holder") is not None:
        return
    remove_network(layout)
    run("ip", "netns", "add", layout.name)
    ip = ("ip", "-n", layout.name)
    run(*ip, "link", "set", "lo", "up")
    # The bridge carries the node's address; this kernel has no dummy driver.
    run(*ip, "link", "add", "node0", "type", "bridge")
    run(*ip, "address", "add", f"{layout.node_address}/24", "dev", "node0")
    run(*ip, "link", "set", "node0", "up")
    # Packets to a Service are redirected after the routing look-up, so some route must exist; there is no default one.
    run(*ip, "route", "add", layout.service_range, "dev", "node0")
    make_mount_points()
    # The network namespaces of pods are pinned in /run/netns: there they would outlive the cluster.
    script = f"mount --make-rshared / && mount -t tmpfs netns /run/netns && {mount_script()} && exec sleep infinity"
    holder = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{layout.name}", "unshare", "--mount", "--propagation", "private", "sh", "-c",
         script],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    write_pid(layout, "holder", holder.pid)
    comm = Path(f"/proc/{holder.pid}/comm")
    wait_for(layout, "the namespace", lambda: comm.read_text() == "sleep\n", timeout=5, log="holder")
    run(*inside(layout, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"))


def remove_network(layout: Layout) -> None:
    """Remove the network namespace and the interfaces in it. Idempotent."""
    if (Path("/run/netns") / layout.name).exists():
        run("ip", "netns", "delete", layout.name)
