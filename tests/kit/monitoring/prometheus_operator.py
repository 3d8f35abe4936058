"""The Prometheus operator as a process of this machine, and the configuration that it makes for a Prometheus."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from realtime_operator.api.base import JsonObject
from tests.kit.cluster.layout import REPOSITORY, Layout
from tests.kit.cluster.programs import find_go
from tests.kit.deadline import eventually
from tests.kit.document import object_at, objects_at, parse, text_at
from tests.kit.kube import Kube
from tests.kit.monitoring.prometheus_account import minified, read_yaml
from tests.kit.redis_process import free_port

MODULE = "github.com/prometheus-operator/prometheus-operator"
DOWNLOAD_SECONDS = 120
END_SECONDS = 20
SERVED_SECONDS = 60
RULES = "/etc/prometheus/rules"
"""Folder of the rules in a pod of Prometheus."""
NAME = "everything"
SELECTED = {"release": "prometheus"}
"""Labels by which this Prometheus selects objects, as kube-prometheus-stack does."""


def crd_files() -> list[Path]:
    """Return the files with the CRDs, from the pinned Go module."""
    go = find_go(Layout(), print)
    command = [go, "mod", "download", "-json", MODULE]
    folder = REPOSITORY / "hack" / "prometheus-operator"
    answer = subprocess.run(
        command, cwd=folder, capture_output=True, check=True, timeout=DOWNLOAD_SECONDS,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )  # fmt: skip
    found = Path(text_at(parse(answer.stdout), "Dir")) / "example" / "prometheus-operator-crd"
    return sorted(found.glob("*.yaml"))


@contextlib.asynccontextmanager
async def running_operator(kube: Kube, program: Path) -> AsyncIterator[Path]:
    """Install the CRDs and run the operator while the body runs; yield its log. Removes the CRDs."""
    folder = Path(tempfile.mkdtemp(prefix="prometheus-operator-"))
    files = [word for path in crd_files() for word in ("-f", str(path))]
    await kube.kubectl("apply", "--server-side", *files)
    try:
        await kube.kubectl("wait", "--for=condition=Established", f"--timeout={SERVED_SECONDS}s", *files)
        (cluster,), (user,) = objects_at(own := await minified(kube), "clusters"), objects_at(own, "users")
        arguments = [f"--apiserver={text_at(cluster, 'cluster', 'server')}"]
        for option, text in (
            ("ca-file", text_at(cluster, "cluster", "certificate-authority-data")),
            ("cert-file", text_at(user, "user", "client-certificate-data")),
            ("key-file", text_at(user, "user", "client-key-data")),
        ):
            (folder / option).write_bytes(base64.b64decode(text))
            arguments.append(f"--{option}={folder / option}")
        log = folder / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", str(program), *arguments,
                f"--web.listen-address=127.0.0.1:{free_port()}", "--log-level=warn", stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield log
        finally:
            process.terminate()
            try:
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            print("--- log of the prometheus operator", log.read_text(), sep="\n")
    finally:
        await kube.kubectl("delete", "--ignore-not-found", "--wait=false", *files)
        shutil.rmtree(folder)


def prometheus_object(namespace: str) -> JsonObject:
    """Return a Prometheus without pods that selects the labelled objects of all namespaces."""
    selector: JsonObject = {"matchLabels": dict(SELECTED)}
    selectors: JsonObject = {
        key: value
        for kind in ("podMonitor", "serviceMonitor", "rule")
        for key, value in ((f"{kind}Selector", selector), (f"{kind}NamespaceSelector", {}))
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"replicas": 0, "serviceAccountName": "prometheus", **selectors},
    }


async def generated_configuration(
    kube: Kube, jobs: set[str], rule_files: int, folder: Path, within: float
) -> JsonObject:
    """Wait until the configuration has exactly these jobs, and as many files of rules; return it.

    It reads the rules from copies in `folder`.
    """

    async def read() -> tuple[set[str], int]:
        document, rules = await _configuration(kube), await _rules(kube)
        return {text_at(job, "job_name") for job in objects_at(document, "scrape_configs")}, len(rules)

    await eventually(read, lambda found: found == (jobs, rule_files), what=f"jobs {jobs}", within=within)
    for name, text in (await _rules(kube)).items():
        (folder / name).write_text(text)
    return {**await _configuration(kube), "rule_files": [f"{folder}/*.yaml"]}


async def _configuration(kube: Kube) -> JsonObject:
    """Return what the operator has stored; its reloader would fill in the pod's name and number."""
    secret = await kube.get("secrets", f"prometheus-{NAME}")
    packed = text_at(secret, "data", "prometheus.yaml.gz")
    if not packed:
        return {}
    text = gzip.decompress(base64.b64decode(packed)).decode()
    return read_yaml(text.replace("$(SHARD)", "0").replace("$(POD_NAME)", f"prometheus-{NAME}-0"))


async def _rules(kube: Kube) -> dict[str, str]:
    """Return the files of rules by name."""
    found = await kube.list("configmaps", f"prometheus-name={NAME}")
    return {name: str(text) for one in found for name, text in object_at(one, "data").items()}
