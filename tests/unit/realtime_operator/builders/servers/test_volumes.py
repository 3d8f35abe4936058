"""Tests of the files in a server pod."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.configuration.config_map import server_config
from realtime_operator.builders.pods import pod
from realtime_operator.builders.servers.volumes import server_mounts, server_volumes
from tests.kit.document import dig, object_at, objects_at, text_at
from tests.kit.manifests import cluster_of


def external(**fields: JsonValue) -> JsonObject:
    """Return a spec with an external Redis."""
    return {"backplane": {"redis": {"external": fields}}}


REFERENCE: JsonObject = {"name": "own", "key": "the-key"}
SPECS: dict[str, JsonObject] = {
    "default": {},
    "tokens": {"auth": {"tokens": [{"secretKeyRef": REFERENCE}, {"secretKeyRef": REFERENCE}]}},
    "subscription tokens": {"auth": {"subscriptionTokens": [{"secretKeyRef": REFERENCE}]}},
    "published keys": {"auth": {"jwks": {"url": "https://id.example/keys", "ca": {"secretKeyRef": REFERENCE}}}},
    "tracing": {
        "tracing": {
            "endpoint": "https://collector:4318",
            "headers": [{"name": "Authorization", "secretKeyRef": REFERENCE}],
            "ca": {"secretKeyRef": REFERENCE},
        }
    },
    "api": {"api": {"key": {"secretKeyRef": REFERENCE}}},
    "api keys": {"api": {"keys": [{"name": "a", "secretKeyRef": REFERENCE}, {"name": "b", "secretKeyRef": REFERENCE}]}},
    "redis": external(url={"secretKeyRef": REFERENCE}),
    "redis without secrets": external(address="redis:6379"),
    "redis with tls": external(
        address="redis:6379",
        password={"secretKeyRef": REFERENCE},
        tls={name: {"secretKeyRef": REFERENCE} for name in ("ca", "certificate", "key")},
    ),
    "sentinel": external(
        sentinel={"masterName": "main", "addresses": ["s:1"], "password": {"secretKeyRef": REFERENCE}},
        password={"secretKeyRef": REFERENCE},
    ),
    "cluster": external(cluster={"addresses": ["n:1"]}, tls={"ca": {"secretKeyRef": REFERENCE}}),
}


def files(spec: JsonObject) -> dict[str, tuple[str, str]]:
    """Return the Secret and the key of each mounted file."""
    cluster = cluster_of(spec)
    mounts = {text_at(mount, "name"): text_at(mount, "mountPath") for mount in server_mounts(cluster)}
    found: dict[str, tuple[str, str]] = {}
    for volume in server_volumes(cluster, "b"):
        directory = mounts[text_at(volume, "name")]
        sources = [*([dig(volume, "secret")] if dig(volume, "secret") else [])]
        sources += [source["secret"] for source in objects_at(volume, "projected", "sources")]
        for source in sources:
            secret = text_at(source, "secretName") or text_at(source, "name")
            for item in objects_at(source, "items"):
                found[f"{directory}/{item['path']}"] = (secret, text_at(item, "key"))
    return found


def paths(value: JsonValue) -> set[str]:
    """Return the paths of secret files in a configuration."""
    if isinstance(value, dict):
        return set().union(*(paths(child) for child in value.values()))
    if isinstance(value, list):
        return set().union(*(paths(child) for child in value))
    return {value} if isinstance(value, str) and value.startswith("/") else set()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_file_that_the_configuration_names_is_mounted(spec: JsonObject) -> None:
    """Every secret file that the configuration names is mounted, and no other one but the second API key."""
    beside = {f"{naming.CREDENTIALS_DIRECTORY}/{naming.alternate(naming.KEY_API)}"} & set(files(spec))
    assert paths(server_config(cluster_of(spec))) == set(files(spec)) - beside
    assert bool(beside) is ("key" not in object_at(spec, "api"))


def test_own_secrets_are_mounted_under_our_names() -> None:
    assert files(SPECS["tokens"])["/etc/realtime/tokens/1"] == ("own", "the-key")
    assert files(SPECS["published keys"])["/etc/realtime/tokens/jwks-ca.pem"] == ("own", "the-key")
    assert files(SPECS["api"])["/etc/realtime/credentials/api-key"] == ("own", "the-key")
    assert files(SPECS["redis"])["/etc/realtime/redis/url"] == ("own", "the-key")


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_volume_is_mounted_once(spec: JsonObject) -> None:
    cluster = cluster_of(spec)
    mounts = server_mounts(cluster)
    assert [text_at(mount, "name") for mount in mounts] == [text_at(v, "name") for v in server_volumes(cluster, "b")]
    directories = [PurePosixPath(text_at(mount, "mountPath")) for mount in mounts]
    assert len({*directories}) == len(directories)
    assert not any(one in other.parents for one in directories for other in directories)


def test_only_temporary_files_can_be_written() -> None:
    """All other mounts are read-only."""
    writable = [mount for mount in server_mounts(cluster_of()) if object_at(mount).get("readOnly") is not True]
    assert [text_at(mount, "mountPath") for mount in writable] == [pod.TEMPORARY_DIRECTORY]
