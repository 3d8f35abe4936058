"""Crash of a pod: its processes are killed, and the pod is deleted so that another one replaces it."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from realtime_operator.api.base import JsonObject
from tests.kit.document import text_at
from tests.kit.kube import Kube, name_of


def processes_of(pod: JsonObject) -> list[int]:
    """Return the processes of a pod, found by its cgroup; empty when it runs on another machine."""
    uid = text_at(pod, "metadata", "uid")
    assert uid
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"pod{uid}" in (entry / "cgroup").read_text():
                    found.append(int(entry.name))
    return found


async def kill_pod(kube: Kube, pod: JsonObject) -> None:
    """SIGKILL the pod's processes if they run here, and delete the pod without grace period and preStop hook."""
    for process in processes_of(pod):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    await kube.kubectl("delete", "pod", name_of(pod), "--grace-period=0", "--force", "--wait=false")
