"""Tests of what kopf's session reports to the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.metrics import Metrics
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.client import KubernetesClient
from realtime_operator.platforms.kubernetes.store import ObjectStore, Part
from realtime_operator.platforms.kubernetes.watch_session import WatchSession
from tests.kit.deadline import eventually

PODS = Part("v1", "Pod")
PATH = "/api/v1/pods"
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{{name: a, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: a, user: {{token: secret-token}}}}]
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
current-context: a
"""


def pod(name: str) -> JsonObject:
    """Return a labelled pod as an item of a list."""
    labels: JsonObject = {naming.LABEL_CLUSTER: "main"}
    return {"metadata": {"name": name, "namespace": "team", "uid": name, "resourceVersion": "5", "labels": labels}}


def page(*names: str, following: str = "") -> JsonObject:
    """Return a page of a list."""
    metadata: JsonObject = {"resourceVersion": "9", "continue": following}
    return {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": [pod(name) for name in names]}


@dataclass
class Served:
    """A session, the answers of its server, and its reports."""

    client: KubernetesClient
    store: ObjectStore = field(default_factory=lambda: ObjectStore((PODS,)))
    reasons: list[str] = field(default_factory=list)

    def open(self) -> aiohttp.ClientSession:
        """Open the session."""
        return WatchSession(self.client, self.store, self.reasons.append).open()

    def url(self, query: str = "") -> str:
        """Return the URL of the collection of pods."""
        return f"{self.client.server}{PATH}{query}"

    def names(self) -> set[str]:
        """Return the names of the pods in the store."""
        found = self.store.children(Key("team", "main"))
        return {str(item["metadata"]["name"]) for item in found}  # type: ignore[index, call-overload]


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def served(answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Run a server that answers as the test defines."""
    application = web.Application()
    application.router.add_get(PATH, answer)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG.format(port=port))
    monkeypatch.setenv("KUBECONFIG", str(file))
    client = await KubernetesClient.connect(Metrics())
    yield Served(client)
    await client.close()
    await runner.cleanup()


async def seen(fact: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds."""

    async def now() -> bool:
        return fact()

    await eventually(now, bool, what=what, within=5, every=0.01)


async def two_pages(request: web.Request) -> web.StreamResponse:
    """Answer a list of two pages; the second one needs the continue token."""
    assert request.headers["Authorization"] == "Bearer secret-token"
    return web.json_response(page("b") if "continue" in request.query else page("a", following="more"))


@pytest.mark.parametrize("answer", [two_pages])
async def test_a_list_is_complete_with_its_last_page(served: Served) -> None:
    """Objects that are on no page are removed; kopf reads the same pages."""
    served.store.put({**pod("old"), "kind": "Pod", "apiVersion": "v1"})
    async with served.open() as session:
        async with session.get(served.url()) as response:
            assert (await response.json())["metadata"]["continue"] == "more"
        assert (served.names(), served.store.complete.is_set()) == ({"old", "a"}, False)
        async with session.get(served.url("?continue=more")) as response:
            assert len((await response.json())["items"]) == 1
    assert (served.names(), served.store.complete.is_set()) == ({"a", "b"}, True)


async def watch_once(request: web.Request) -> web.StreamResponse:
    """Answer a list, and a watch that ends when its client has read a line."""
    if "watch" not in request.query:
        return web.json_response(page())
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"{}\n")
    await asyncio.sleep(0.05)
    return response


@pytest.mark.parametrize("answer", [watch_once])
async def test_a_watch_that_has_ended_is_not_open_any_more(served: Served) -> None:
    """The end is reported even before kopf has noticed it."""
    async with served.open() as session:
        async with session.get(served.url()):
            pass
        async with session.get(served.url("?watch=true")) as response:
            health = served.store._health[PODS]
            assert health.is_open is not None
            assert await response.content.readline() == b"{}\n"
            assert health.is_open()
            await seen(lambda: not health.is_open(), "the end of the watch")  # type: ignore[misc] # set above


async def not_found(_request: web.Request) -> web.StreamResponse:
    """Answer 404: the kind is not served."""
    return web.json_response({"kind": "Status"}, status=404)


async def gone(_request: web.Request) -> web.StreamResponse:
    """Answer 410: the page was requested too late."""
    return web.json_response({"kind": "Status"}, status=410)


async def forbidden(_request: web.Request) -> web.StreamResponse:
    """Answer 403: a permission is missing, and the request is repeated."""
    return web.json_response({"kind": "Status"}, status=403)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (not_found, "Pod in all namespaces: not served any more"),
        (gone, "Pod in all namespaces: the list took too long"),
    ],
)
async def test_what_kopf_would_end_over_is_told_and_not_answered(served: Served, reason: str) -> None:
    """The request stays pending until it is cancelled."""
    async with served.open() as session:
        asking = asyncio.create_task(session.get(served.url()).__aenter__())
        await seen(lambda: bool(served.reasons), "a reason")
        assert served.reasons == [reason]
        assert not asking.done()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("answer", [forbidden])
async def test_other_refusals_are_answered(served: Served) -> None:
    """The refusals change nothing in the store."""
    async with served.open() as session, session.get(served.url()) as response:
        assert response.status == 403
    assert served.reasons == []
    assert served.store.missing() == [PODS]
