"""Enforcement of NetworkPolicies in the test cluster, by the controller of kube-router.

The bridge of the test cluster enforces none. The controller writes rules for iptables; it runs only while a scenario
needs it, as every pod of the cluster costs it work.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.cluster.environment import Environment

CHAINS = ("INPUT", "FORWARD", "OUTPUT")
STOP_SECONDS = 20


@contextmanager
def enforced(environment: Environment, log: Path) -> Iterator[None]:
    """Enforce NetworkPolicies while the body runs, in the network namespace of this process.

    Without a controller in the environment the cluster enforces them itself. Traffic between a node and its pods is
    always allowed, by every implementation.
    """
    if environment.kube_router is None:
        yield
        return
    _run("sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1")  # pods are on one bridge
    command = [
        str(environment.kube_router), "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
        "--run-loadbalancer=false", f"--kubeconfig={environment.kubeconfig}", "--hostname-override=node1",
        "--health-port=0", "--iptables-sync-period=5s",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=STOP_SECONDS)
            _remove_rules()


def _remove_rules() -> None:
    """Remove what leads into the controller's chains; chains that nothing leads into have no effect."""
    for chain in CHAINS:
        for rule in _run("iptables", "-w", "-S", chain).splitlines():
            if rule.startswith("-A ") and "KUBE-ROUTER" in rule:
                subprocess.run(f"iptables -w -D {rule.removeprefix('-A ')}", shell=True, check=True, timeout=30)  # noqa: S602 - quoted by iptables


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
