"""Tests of the client's handling of answers and paths."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from realtime_operator.metrics import Metrics
from realtime_operator.platforms.kubernetes.client import PLURALS, Address, KubernetesClient, address_of, path_of

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: a, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
contexts: [{{name: a, context: {{cluster: a, user: ""}}}}]
current-context: a
"""


@pytest.fixture
async def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesClient]:
    """A client of a server that answers each request with a list in several gzip members."""
    parts = (b'{"kind": "ConfigMapList", "apiVersion": "v1", ', b'"items": [{"metadata": {"name": "a"}}, ', b"{}]}")
    body = b"".join(gzip.compress(part) for part in parts)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG.format(port=server.sockets[0].getsockname()[1]))
    monkeypatch.setenv("KUBECONFIG", str(file))
    client = await KubernetesClient.connect(Metrics())
    yield client
    await client.close()
    server.close()
    await server.wait_closed()


async def test_an_answer_in_several_gzip_members_is_read_whole(answering: KubernetesClient) -> None:
    """The API server of Kubernetes 1.37 compresses long lists like this."""
    found = await answering.get("/api/v1/configmaps")
    assert json.dumps(found["items"]) == '[{"metadata": {"name": "a"}}, {}]'


@pytest.mark.parametrize(("api_version", "kind"), PLURALS)
def test_every_path_leads_back_to_what_it_was_made_of(api_version: str, kind: str) -> None:
    """Paths of collections, objects and subresources are parsed."""
    for name, subresource in (("", ""), ("a.b-c", ""), ("a", "status")):
        expected = Address(api_version, kind, "team", name, subresource)
        assert address_of(path_of(api_version, kind, "team", name, subresource)) == expected


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/api/v1/pods", Address("v1", "Pod", "", "", "")),
        ("/apis/apps/v1/replicasets", Address("apps/v1", "ReplicaSet", "", "", "")),
        ("/apis", None),
        ("/apis/realtime.dev/v1alpha1", None),
        ("/api/v1/namespaces/team", None),
        ("/api/v1/nodes/a", None),
        ("/api/v1/namespaces/team/pods/a/proxy/metrics", None),
    ],
)
def test_paths_of_all_namespaces_and_of_what_is_not_ours(path: str, address: Address | None) -> None:
    """Discovery, namespaces and other kinds have no address."""
    assert address_of(path) == address
