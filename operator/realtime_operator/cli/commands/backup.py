"""`export` and `import`: a cluster and its histories as files, to create it again elsewhere."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at
from realtime_operator.api.references import references
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli import history_file
from realtime_operator.cli.cluster_file import checked, read
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.commands.rollout import DEFAULT_TIMEOUT, FAILED, POLL_SECONDS, TimeoutOption
from realtime_operator.cli.output import say
from realtime_operator.cli.target import Target, find, name_of, read_cluster
from realtime_operator.errors import InputError, UnreachableError
from realtime_operator.planning.model.world import Server

LEFT_OUT = frozenset({"kubectl.kubernetes.io/last-applied-configuration", naming.ANNOTATION_ROTATE})
"""Annotations that mean nothing for another object."""
LEFT = {
    "occupied": "the channel has another history, which --replace would replace",
    "incomplete": "parts of it are missing in the file",
    "without_history": "the cluster's spec gives the channel no history",
}
"""Reasons for which a server does not store a history."""
NAMED = 10
"""Number of channels that a message names."""
Secrets = Mapping[str, Mapping[str, str]]


class Which(StrEnum):
    """The Secrets to export."""

    NONE = "none"
    GENERATED = "generated"
    ALL = "all"


async def export(
    target: Target,
    secrets: Annotated[
        Which,
        typer.Option("--secrets", help="generated: credentials that the operator made. all: those of the spec too."),
    ] = Which.NONE,
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", help="File to write, readable by you alone. Default: standard output."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", help="File to write the histories of all channels to, readable by you alone."),
    ] = None,
    cluster: ClusterOption = None,
) -> None:
    """Write the cluster as a file for `realtime import`, `realtime up -f` or `kubectl apply -f`.

    Histories are written to a file of their own. A file with secrets or messages is as secret as they are.

    Examples:
      realtime export > chat.yaml
      kubectl realtime export -c chat --secrets all -f chat.yaml --history chat.history

    """
    found = await find(target, cluster)
    if history is not None:
        await _export_history(target, name_of(found), history)
    if secrets is not Which.NONE and file is None:
        raise InputError("--secrets needs --file: secrets are not printed on a terminal or into a log")
    documents = [portable(found)]
    for name, values in (await _chosen(target, read_cluster(found), secrets)).items():
        documents.append(_secret(name, values))
    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
    if file is None:
        typer.echo(text, nl=False)
        return
    _write(file, text)
    say(f"wrote {file} with {name_of(found)} and {len(documents) - 1} Secrets")


def portable(cluster: JsonObject) -> JsonObject:
    """Return a cluster without what belongs to this object alone: namespace, identity, versions, status."""
    metadata = object_at(cluster, "metadata")
    kept: JsonObject = {"name": metadata["name"]}
    annotations = {key: value for key, value in object_at(metadata, "annotations").items() if key not in LEFT_OUT}
    for name, values in (("labels", object_at(metadata, "labels")), ("annotations", annotations)):
        if values:
            kept[name] = {**values}
    spec = object_at(cluster, "spec")
    return {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": kept, "spec": spec}


async def import_(
    target: Target,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", help="File that `realtime export` has written: creates the cluster.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the new cluster. Default: that in the file.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option("--history", help="File with histories. Without --file: into a cluster that exists.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the histories that channels have already.")
    ] = False,
    within: TimeoutOption = DEFAULT_TIMEOUT,
    cluster: ClusterOption = None,
) -> int:
    """Create a cluster from a file of `realtime export`, with the credentials in it, and its histories.

    Backends and clients go on with their keys and tokens. A Secret of the spec that exists already is kept.
    With histories, clients recover what they missed, also those that were connected to the other cluster. A channel
    that has a history already keeps it, unless you --replace it: then the exit code is 1.

    Examples:
      kubectl realtime import -f chat.yaml -n other
      kubectl realtime import -f chat.yaml --name chat-copy --history chat.history
      kubectl realtime import --history chat.history -c chat

    """
    if file is None and history is None:
        raise InputError("give --file, --history, or both")
    created = None if file is None else await _create(target, file, name)
    if history is None:
        return 0
    chosen = created or name_of(await find(target, cluster or name))
    return await _import_history(target, chosen, history, replace=replace, within=within)


async def _create(target: Target, file: Path, name: str | None) -> str:
    """Create the cluster of a file; return its name."""
    read_file = read(file)
    old, new = read_file.name, name or read_file.name
    document: JsonObject = {
        **read_file.document,
        "metadata": {**object_at(read_file.document, "metadata"), "name": new},
    }
    checked(file, document)
    renamed = dict(zip(naming.secrets(old), naming.secrets(new), strict=True))
    own = {renamed[key]: values for key, values in read_file.secrets.items() if key in renamed}
    others = {key: values for key, values in read_file.secrets.items() if key not in renamed}
    kept = await target.restore(portable(document), own, others)
    for secret in kept:
        say(f"Secret {secret} exists and is kept as it is")
    say(f"{new} is created, with {len(own)} Secrets of credentials and {len(others) - len(kept)} others")
    return new


async def _export_history(target: Target, name: str, file: Path) -> None:
    server = await _server(target, name, within=0)
    end = await history_file.write(file, target.export_history(name, server))
    say(f"wrote {file} with the histories of {end.channels} channels")
    if end.unreadable:
        say(f"without those that change too fast to be read: {_some(end.unreadable)}", "yellow")


async def _import_history(target: Target, name: str, file: Path, *, replace: bool, within: float) -> int:
    batches = history_file.batches(file)
    server = await _server(target, name, within)
    counts = dict.fromkeys(("restored", "present"), 0)
    left: dict[str, list[str]] = {reason: [] for reason in LEFT}
    for lines in batches:
        answer = await target.import_history(name, server, lines, replace=replace)
        for count in counts:
            counts[count] += int(str(answer[count]))
        for reason in left:
            found = answer[reason]
            left[reason] += map(str, found if isinstance(found, list) else ())
    say(f"{counts['restored']} histories are imported, {counts['present']} were there already")
    for reason, channels in left.items():
        if channels:
            say(f"{len(channels)} are not: {LEFT[reason]}: {_some(channels)}", "yellow")
    return FAILED if any(left.values()) else 0


async def _server(target: Target, name: str, within: float) -> Server:
    """Return a server that reaches Redis, as soon as there is one. Raises UnreachableError when time is over."""
    deadline = time.monotonic() + within
    while True:
        for server in await target.servers(name):
            if server.report is not None and server.report.backplane_healthy:
                return server
        if time.monotonic() >= deadline:
            raise UnreachableError(f"no server of {name} answers and reaches Redis: see `realtime doctor`")
        await asyncio.sleep(POLL_SECONDS)


def _some(channels: Sequence[str]) -> str:
    return ", ".join(channels[:NAMED]) + (f" and {len(channels) - NAMED} more" if len(channels) > NAMED else "")


async def _chosen(target: Target, cluster: RealtimeCluster, which: Which) -> Secrets:
    """Return the values to export by Secret; raises InputError for one that does not exist."""
    wanted: dict[str, set[str]] = {}
    if which is Which.ALL:
        for reference in references(cluster):
            wanted.setdefault(reference.secret, set()).add(reference.key)
    found: dict[str, Mapping[str, str]] = {}
    for name, keys in wanted.items():
        values = await target.secret(name)
        if not keys <= set(values):
            raise InputError(f"Secret {name} lacks {', '.join(sorted(keys - set(values)))}: create it, or export less")
        found[name] = {key: values[key] for key in sorted(keys)}
    if which is not Which.NONE:
        for name in naming.secrets(cluster.metadata.name):
            values = await target.secret(name)
            if values:
                found[name] = values
    return found


def _secret(name: str, values: Mapping[str, str]) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {**values}}


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    try:
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error
