"""Questions over HTTP, to a backend that does everything wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from realtime_operator.api.base import JsonObject
from realtime_server.backplane.memory_queue import MemoryEventQueue
from realtime_server.codes import INTERNAL, DisconnectCode, ErrorCode
from realtime_server.connect_errors import ADVICE
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.ports.backend import Caller, Connecting, Hook, Published, TransportInfo
from realtime_server.hooks.endpoint import MAX_ANSWER_BYTES, WAITING_FACTOR, Outcome
from realtime_server.hooks.http_backend import HttpBackend as Hooks
from realtime_server.hooks.opening import HookClient
from realtime_server.settings import Hooks as HookSettings
from tests.kit.certificates import Mount, check_strictly
from tests.kit.http_backend import HttpBackend

CALLER = Caller("c1", "alice", TransportInfo(headers={"cookie": "session=7"}))


@asynccontextmanager
async def hooks(backend: HttpBackend, authority: Path | None = None, **changes: object) -> AsyncIterator[Hooks]:
    """Hooks for publish and connect; `changes` are settings of publish."""
    publish = {"url": backend.url("publish"), "timeout_seconds": 0.3, **changes}
    connect = {"url": backend.url("connect")}
    settings = HookSettings.model_validate({"publish": publish, "connect": connect, "ca_file": authority})
    client = HookClient(settings, MemoryEventQueue(10), "worker")
    await client.start()
    try:
        yield client.backend
    finally:
        await client.stop()


async def test_an_answer_is_followed() -> None:
    """And the backend is told who asks, with the headers that it is to see."""
    better: JsonObject = {"result": {"data": {"better": True}}}
    async with HttpBackend({"publish": lambda _: better}) as backend, hooks(backend) as asked:
        assert await asked.publish(CALLER, "chat:a", b"{}") == Published(b'{"better": true}')
        [request] = backend.requests
        assert (request.body["user"], request.body["channel"], request.body["data"]) == ("alice", "chat:a", {})
        assert request.headers["cookie"] == "session=7"


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ({"error": {"code": 1001, "message": "too long"}}, CommandError(ErrorCode(1001, "too long"))),
        ({"disconnect": {"code": 4500, "reason": "banned"}}, DisconnectRequestedError(DisconnectCode(4500, "banned"))),
    ],
    ids=["error", "disconnect"],
)
async def test_the_backend_says_no(answer: JsonObject, raised: Exception) -> None:
    """In its own words."""
    async with HttpBackend({"publish": lambda _: answer}) as backend, hooks(backend) as asked:
        with pytest.raises(type(raised)) as caught:
            await asked.publish(CALLER, "chat:a", b"{}")
        assert caught.value.args == raised.args


async def test_a_backend_with_a_private_certificate_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that Python 3.13 refuses for its form is told with what would be right."""
    check_strictly(monkeypatch)
    for name, identifiers in (("good", True), ("old", False)):
        mount = Mount(tmp_path / name, identifiers=identifiers)
        mount.issue()
        async with HttpBackend(tls=mount.server()) as backend, hooks(backend, mount.authority) as asked:
            with capture_logs() as logs, nullcontext() if identifiers else pytest.raises(CommandError):
                await asked.publish(CALLER, "chat:a", b"{}")
        assert [ADVICE in str(entry["error"]) for entry in logs] == [] if identifiers else [True]


def body(text: bytes, status: int = 200) -> Callable[[object], web.Response]:
    """An answer that is not what it has to be."""
    return lambda _: web.Response(body=text, status=status, content_type="application/json")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (body(b"<html>"), Outcome.INVALID),
        (body(b'{"result": 7}'), Outcome.INVALID),
        (body(b'{"result": {"b64data": "%"}}'), Outcome.INVALID),
        (body(b'{"error": {"code": 1}}'), Outcome.INVALID),
        (body(b"\xff"), Outcome.INVALID),
        (body(b'{"result": {"data": ' + b"[" * 600 + b"]" * 600 + b"}}"), Outcome.INVALID),
        (body(b"{}", 500), Outcome.STATUS),
        (body(b"{}", 404), Outcome.STATUS),
        (lambda _: web.Response(status=302, headers={"Location": "http://169.254.169.254/"}), Outcome.STATUS),
        (body(b'{"result": {"data": "' + b"x" * MAX_ANSWER_BYTES + b'"}}'), Outcome.TOO_LARGE),
    ],
    ids=[
        "no JSON",
        "no object",
        "no base64",
        "no code",
        "no text",
        "too deep",
        "broken",
        "not there",
        "elsewhere",
        "endless",
    ],
)
async def test_a_wrong_answer_is_an_error_to_try_again(
    answer: Callable[[object], web.Response], outcome: Outcome
) -> None:
    """100: the client is not to blame. A redirect is not followed."""
    async with HttpBackend({"publish": answer}) as backend, hooks(backend) as asked:
        with pytest.raises(CommandError) as caught:
            await asked.publish(CALLER, "chat:a", b"{}")
        assert caught.value.error == INTERNAL
        assert asked.hooks[Hook.PUBLISH].endpoint.usage.outcomes[outcome] == 1


async def test_a_backend_that_hangs_is_waited_for_no_longer_than_the_timeout() -> None:
    """And one that is not there is no wait at all."""
    backend = HttpBackend(delay=5)
    async with hooks(backend) as asked:
        for context, outcome in ((backend, Outcome.TIMEOUT), (None, Outcome.UNREACHABLE)):
            if context is not None:
                async with context:
                    with pytest.raises(CommandError):
                        await asked.publish(CALLER, "chat:a", b"{}")
            else:
                with pytest.raises(CommandError):
                    await asked.publish(CALLER, "chat:a", b"{}")
            assert asked.hooks[Hook.PUBLISH].endpoint.usage.outcomes[outcome] == 1


async def test_where_it_is_allowed_a_backend_that_is_down_changes_nothing() -> None:
    """But one that answers nonsense does: it may have meant no."""
    async with hooks(HttpBackend(), when_down="allow") as asked:
        assert await asked.publish(CALLER, "chat:a", b"{}") is None
    async with HttpBackend({"publish": body(b"?")}) as backend, hooks(backend, when_down="allow") as asked:
        with pytest.raises(CommandError):
            await asked.publish(CALLER, "chat:a", b"{}")


async def test_so_many_calls_run_at_once_and_so_many_wait() -> None:
    """The rest are told at once to try again."""
    async with HttpBackend(delay=0.05) as backend, hooks(backend, concurrency=2, timeout_seconds=5) as asked:
        most = 2 * (1 + WAITING_FACTOR)
        calls = [asked.publish(CALLER, "chat:a", b"{}") for _ in range(most + 3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(result, CommandError) for result in results] == [False] * most + [True] * 3
        assert backend.most_at_once == 2
        assert asked.hooks[Hook.PUBLISH].endpoint.usage.in_flight == 0


async def test_a_backend_that_fails_is_left_alone_and_found_again() -> None:
    """Without one request while the breaker is open; by one trial after it."""
    async with HttpBackend({"publish": body(b"{}", 503)}) as backend, hooks(backend, when_down="allow") as asked:
        for _ in range(8):
            await asked.publish(CALLER, "chat:a", b"{}")
        assert len(backend.requests) == 5
        usage = asked.hooks[Hook.PUBLISH].endpoint.usage
        assert usage.outcomes == {Outcome.STATUS: 5, Outcome.BREAKER: 3}
        del backend.answers["publish"]
        await asyncio.sleep(1.05)
        assert await asked.publish(CALLER, "chat:a", b"{}") == Published()


async def test_a_call_that_nobody_waits_for_says_nothing_about_the_backend() -> None:
    """Clients that leave do not open the breaker."""
    async with HttpBackend(delay=5) as backend, hooks(backend, timeout_seconds=10) as asked:
        for _ in range(8):
            call = asyncio.create_task(asked.publish(CALLER, "chat:a", b"{}"))
            await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        endpoint = asked.hooks[Hook.PUBLISH].endpoint
        assert endpoint.breaker.allows(0)
        assert endpoint.usage.in_flight == 0


async def test_only_what_is_configured_is_asked() -> None:
    """Per hook, and per namespace where it is about a channel."""
    async with hooks(HttpBackend(), namespaces=["chat", "default"]) as asked:
        assert asked.asks(Hook.CONNECT)
        assert not asked.asks(Hook.RPC)
        asks = {c: asked.asks(Hook.PUBLISH, c) for c in ("chat:a", "$chat:a", "news:a", "lobby", "$lobby")}
        assert asks == {"chat:a": True, "$chat:a": True, "news:a": False, "lobby": True, "$lobby": True}
        assert not asked.watches_channels


async def test_what_browsers_cannot_send_as_headers_comes_with_connect() -> None:
    """Real headers win over them."""
    async with HttpBackend() as backend, hooks(backend) as asked:
        told = {"cookie": "session=9", "x-shop": "1"}
        await asked.connect(Connecting(CALLER, b"", "js", "", (), told))
        [request] = backend.requests
        assert (request.headers["cookie"], request.headers["x-shop"]) == ("session=7", "1")
