"""Files that help to understand a failed scenario: objects, events, descriptions and logs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.document import objects_at, text_at
from tests.kit.kube import Kube, KubectlError, name_of

KINDS = (naming.PLURAL, "pods", "replicasets", "statefulsets", "services", "endpoints", "configmaps")


def folder_for(root: Path, test: str) -> Path:
    """Return an empty folder for a test's failure."""
    folder = root / re.sub(r"[^A-Za-z0-9_-]+", "-", test).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    return folder


async def dump(kube: Kube, folder: Path) -> None:
    """Write the state of one namespace into the folder; errors of reading are written instead of the data."""
    prefix = kube.namespace
    for kind in KINDS:
        objects = await kube.list(kind)
        (folder / f"{prefix}-{kind}.yaml").write_text(yaml.safe_dump_all(map(_without_noise, objects)))
    for name, arguments in {
        "events": ("get", "events", "--sort-by=.lastTimestamp"),
        "describe-pods": ("describe", "pods"),
        "wide": ("get", "pods,rs,sts,svc,pdb", "-o", "wide"),
    }.items():
        (folder / f"{prefix}-{name}.txt").write_text(await _printed(kube, *arguments))
    for pod in await kube.list("pods"):
        for container in objects_at(pod, "spec", "containers"):
            await _dump_logs(kube, folder, name_of(pod), text_at(container, "name"))


async def _dump_logs(kube: Kube, folder: Path, pod: str, container: str) -> None:
    for previous in (False, True):
        text = await kube.logs(pod, container, previous=previous)
        if text:
            (folder / f"{kube.namespace}-{pod}-{container}{'-previous' if previous else ''}.log").write_text(text)


async def _printed(kube: Kube, *arguments: str) -> str:
    try:
        return await kube.kubectl(*arguments)
    except KubectlError as error:
        return str(error)


def _without_noise(document: JsonObject) -> JsonObject:
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return document
