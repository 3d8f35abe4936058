"""Probe of a worker by itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType

from realtime_server.admin.self_probe import ProbeIdentity, SelfProbe
from realtime_server.app import make_node
from realtime_server.backplane.factory import open_backplane
from realtime_server.core.auth.web_token import TokenKey
from realtime_server.core.node import Node
from realtime_server.core.ports.api import ProbeResult
from realtime_server.core.ports.tracing import NO_TRACING
from realtime_server.hooks.factory import HookClient
from realtime_server.route_settings import WebSocketRoutes
from realtime_server.settings import Settings
from tests.kit.deadline import eventually
from tests.kit.http_backend import HttpBackend

SECRET = "0123456789abcdef0123456789abcdef"
KEY = TokenKey("HS256", SECRET)
NO_KEYS: Mapping[str, object] = MappingProxyType({})
NOBODY_LISTENS = "http://127.0.0.1:9/connect"


@contextlib.asynccontextmanager
async def probing(
    identity: ProbeIdentity, hook: str | None = None, auth: Mapping[str, object] = NO_KEYS
) -> AsyncIterator[tuple[SelfProbe, Node]]:
    """Yield the probe of a worker with these settings; `hook` is the URL of its connect hook."""
    hooks = {} if hook is None else {"connect": {"url": hook, "timeout_seconds": 1}}
    settings = Settings.model_validate({"auth": dict(auth), "hooks": hooks})
    backplane = open_backplane(settings)
    client = HookClient(settings.hooks, WebSocketRoutes(), backplane.open_queue, "worker", NO_TRACING) if hook else None
    node = make_node(settings, backplane, backend=None if client is None else client.backend)
    probe = SelfProbe(node, identity)
    if client is not None:
        await client.start()
    try:
        yield probe, node
    finally:
        await probe.close()
        if client is not None:
            await client.stop()
        await node.stop()


async def result_of(probe: SelfProbe) -> ProbeResult:
    """Run the probe, and return its result."""
    assert probe.last is None
    probe.start()
    probe.start()  # runs already

    async def last() -> ProbeResult | None:
        return probe.last

    result = await eventually(last, lambda found: found is not None, what="a result", within=10, every=0.005)
    assert result is not None
    return result


async def test_a_probe_connects_with_a_token_and_leaves(tmp_path: Path) -> None:
    """The secret of the cluster makes a token; its issuer and audience are those that are asked for."""
    (tmp_path / "key").write_text(SECRET)
    auth = {"token_keys": [{"algorithm": "HS256", "file": str(tmp_path / "key")}], "issuer": "us", "audience": "them"}
    identity = ProbeIdentity(lambda: (KEY,), tokenless=False, audience="them", issuer="us")
    async with probing(identity, auth=auth) as (probe, node):
        result = await result_of(probe)
        assert (result.code, result.has_token) == ("", True)
        assert not node.sessions, "it has left"
        assert (node.counters.accepted, node.counters.connects, node.last_accept) == (0, 0, None)


async def test_a_probe_with_a_wrong_key_is_refused(tmp_path: Path) -> None:
    """A probe shows a worker that verifies tokens with another key than the one it should have."""
    (tmp_path / "key").write_text(SECRET[::-1])
    auth = {"token_keys": [{"algorithm": "HS256", "file": str(tmp_path / "key")}]}
    async with probing(ProbeIdentity(lambda: (KEY,), tokenless=False), auth=auth) as (probe, _):
        assert (await result_of(probe)).code == "3500"


async def test_without_a_secret_a_probe_has_no_token() -> None:
    """The private key of an identity provider is elsewhere: the server answers as it does to any client without one."""
    async with probing(ProbeIdentity(lambda: (), tokenless=False)) as (probe, node):
        result = await result_of(probe)
        assert (result.code, result.has_token) == ("101", False)
        assert not node.sessions
        counters = node.counters
        assert {*counters.connects_failed, *counters.disconnects, *counters.command_errors} == set()
        assert not counters.recent.report(node.clock()).connects_failed


async def test_a_probe_sees_a_backend_that_is_down() -> None:
    """The connect hook decides about clients without a token: nobody answers it."""
    async with probing(ProbeIdentity(lambda: (), tokenless=True), hook=NOBODY_LISTENS) as (probe, _):
        assert (await result_of(probe)).code == "100"


async def test_the_backend_may_refuse_a_probe() -> None:
    """A code of the backend is its answer."""
    async with HttpBackend({"connect": lambda _: {"error": {"code": 1000, "message": "who?"}}}) as backend:
        identity = ProbeIdentity(lambda: (), tokenless=True)
        async with probing(identity, hook=backend.url("connect")) as (probe, _):
            assert (await result_of(probe)).code == "other"


async def test_a_result_grows_older() -> None:
    """The age of a result says whether it is of a probe that was started since."""
    async with probing(ProbeIdentity(lambda: (), tokenless=False)) as (probe, node):
        await result_of(probe)
        node.clock = lambda: float("inf")
        assert probe.last is not None
        assert probe.last.age_seconds == float("inf")
