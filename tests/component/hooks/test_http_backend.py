"""Hook requests over HTTP, to a backend that does everything wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from realtime_operator.api.base import JsonObject
from realtime_server.backplane.memory_queue import MemoryEventQueue
from realtime_server.codes import BAD_REQUEST, INTERNAL, DisconnectCode, ErrorCode
from realtime_server.connect_errors import ADVICE
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.ports.backend import Caller, Connecting, Hook, Published, TransportInfo
from realtime_server.hooks.breaker import BreakerState
from realtime_server.hooks.endpoint import MAX_ANSWER_BYTES, WAITING_FACTOR, Outcome
from realtime_server.hooks.factory import HookClient
from realtime_server.hooks.http_backend import HttpBackend as Hooks
from realtime_server.hooks.http_backend import origin_of
from realtime_server.route_settings import WebSocketRoutes
from realtime_server.settings import Hooks as HookSettings
from tests.kit.certificates import Mount, check_strictly
from tests.kit.http_backend import HttpBackend

CALLER = Caller("c1", "alice", TransportInfo(headers={"cookie": "session=7"}))


@asynccontextmanager
async def hooks(
    backend: HttpBackend, authority: Path | None = None, forward: Sequence[str] = (), **changes: object
) -> AsyncIterator[Hooks]:
    """Return hooks for publish and connect; `changes` are settings of publish."""
    publish = {"url": backend.url("publish"), "timeout_seconds": 5, **changes}
    connect = {"url": backend.url("connect")}
    settings = HookSettings.model_validate(
        {"publish": publish, "connect": connect, "ca_file": authority, "forward_headers": list(forward)}
    )
    client = HookClient(settings, WebSocketRoutes(), lambda _name, _size: MemoryEventQueue(10), "worker")
    await client.start()
    try:
        yield client.backend
    finally:
        await client.stop()


async def test_an_answer_is_followed() -> None:
    """The request has the client, and the headers for the backend."""
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
    """The error or disconnect is the backend's own."""
    async with HttpBackend({"publish": lambda _: answer}) as backend, hooks(backend) as asked:
        with pytest.raises(type(raised)) as caught:
            await asked.publish(CALLER, "chat:a", b"{}")
        assert caught.value.args == raised.args


async def test_a_backend_with_a_private_certificate_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that Python 3.13 refuses for its form is reported with advice."""
    check_strictly(monkeypatch)
    for name, identifiers in (("good", True), ("old", False)):
        mount = Mount(tmp_path / name, identifiers=identifiers)
        mount.issue()
        async with HttpBackend(tls=mount.server()) as backend, hooks(backend, mount.authority) as asked:
            with capture_logs() as logs, nullcontext() if identifiers else pytest.raises(CommandError):
                await asked.publish(CALLER, "chat:a", b"{}")
        assert [ADVICE in str(entry["error"]) for entry in logs] == [] if identifiers else [True]


def body(text: bytes, status: int = 200) -> Callable[[object], web.Response]:
    """Return an invalid answer."""
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
        (body(b"{}", 408), Outcome.STATUS),
        (body(b"{}", 404), Outcome.REFUSED),
        (body(b"{}", 429), Outcome.REFUSED),
        (lambda _: web.Response(status=302, headers={"Location": "http://169.254.169.254/"}), Outcome.REFUSED),
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
        "too slow",
        "not there",
        "too often",
        "elsewhere",
        "endless",
    ],
)
async def test_a_wrong_answer_is_an_error_to_try_again(
    answer: Callable[[object], web.Response], outcome: Outcome
) -> None:
    """The client gets error 100; a redirect is not followed."""
    async with HttpBackend({"publish": answer}) as backend, hooks(backend) as asked:
        with pytest.raises(CommandError) as caught:
            await asked.publish(CALLER, "chat:a", b"{}")
        assert caught.value.error == INTERNAL
        assert asked.hooks[Hook.PUBLISH].endpoint.usage.outcomes[outcome] == 1


async def test_a_backend_that_hangs_is_waited_for_no_longer_than_the_timeout() -> None:
    """An unreachable backend fails at once."""
    backend = HttpBackend(delay=5)
    async with hooks(backend, timeout_seconds=0.3) as asked:
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
    """With `allow`, invalid answers and refusals are still errors, as they may mean no."""
    async with hooks(HttpBackend(), when_down="allow") as asked:
        assert await asked.publish(CALLER, "chat:a", b"{}") is None
    no = (body(b"?"), body(b"{}", 400), body(b"{}", 403), body(b"{}", 429), body(b"x" * (MAX_ANSWER_BYTES + 1)))
    for answer in no:
        async with HttpBackend({"publish": answer}) as backend, hooks(backend, when_down="allow") as asked:
            with pytest.raises(CommandError):
                await asked.publish(CALLER, "chat:a", b"{}")


async def test_so_many_calls_run_at_once_and_so_many_wait() -> None:
    """Further calls get a temporary error at once."""
    async with HttpBackend(delay=0.05) as backend, hooks(backend, concurrency=2, timeout_seconds=5) as asked:
        most = 2 * (1 + WAITING_FACTOR)
        calls = [asked.publish(CALLER, "chat:a", b"{}") for _ in range(most + 3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(result, CommandError) for result in results] == [False] * most + [True] * 3
        assert backend.most_at_once == 2
        assert asked.hooks[Hook.PUBLISH].endpoint.usage.in_flight == 0


def caller(number: int) -> Caller:
    """Return one of many users."""
    return replace(CALLER, user=f"user-{number}")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_backend_that_fails_is_left_alone_and_found_again(status: int) -> None:
    """There is no request while the breaker is open, and one trial closes it."""
    async with HttpBackend({"publish": body(b"{}", status)}) as backend, hooks(backend) as asked:
        for number in range(8):
            with pytest.raises(CommandError):
                await asked.publish(caller(number), "chat:a", b"{}")
        assert len(backend.requests) == 5
        assert asked.hooks[Hook.PUBLISH].endpoint.usage.outcomes[Outcome.BREAKER] == 3
        del backend.answers["publish"]
        await asyncio.sleep(1.05)
        assert await asked.publish(CALLER, "chat:a", b"{}") == Published()


async def test_a_backend_that_cannot_be_reached_is_down_whoever_asks() -> None:
    """No client's input has reached it, so that failures of one client count."""
    async with hooks(HttpBackend(), when_down="allow") as asked:
        for _ in range(8):
            await asked.publish(CALLER, "chat:a", b"{}")
        usage = asked.hooks[Hook.PUBLISH].endpoint.usage
        assert usage.outcomes == {Outcome.UNREACHABLE: 5, Outcome.BREAKER: 3}


@pytest.mark.parametrize("answer", [body(b"{}", status) for status in (500, 503, 429, 400, 413, 302)] + [None])
async def test_one_client_never_has_the_backend_left_alone(answer: Callable[[object], web.Response] | None) -> None:
    """Whatever a client's data causes, a status or a timeout, the backend is still asked about others."""
    async with HttpBackend({} if answer is None else {"publish": answer}) as backend:
        async with hooks(backend, timeout_seconds=5 if answer else 0.5) as asked:
            backend.delay = 0 if answer else 5
            for _ in range(8):
                with pytest.raises(CommandError):
                    await asked.publish(CALLER, "chat:a", b"{}")
            backend.answers.clear()
            backend.delay = 0
            assert await asked.publish(caller(1), "chat:a", b"{}") == Published()
        assert len(backend.bodies("publish")) == 9


async def test_failed_calls_fill_no_log() -> None:
    """A hundred failures a second are logged once, and all are counted."""
    async with HttpBackend({"publish": body(b"{}", 400)}) as backend, hooks(backend) as asked:
        with capture_logs() as logs:
            for _ in range(20):
                with pytest.raises(CommandError):
                    await asked.publish(CALLER, "chat:a", b"{}")
        assert len(logs) < 20
        assert logs[0]["error"] == "the backend answered 400"
        assert asked.hooks[Hook.PUBLISH].endpoint.usage.outcomes[Outcome.REFUSED] == 20


async def test_calls_that_had_no_turn_are_no_failures_of_the_backend() -> None:
    """Calls that wait in vain behind one client's slow calls do not count as failures."""
    async with HttpBackend(delay=5) as backend, hooks(backend, timeout_seconds=0.2, concurrency=1) as asked:
        calls = [asked.publish(caller(number), "chat:a", b"{}") for number in range(8)]
        await asyncio.gather(*calls, return_exceptions=True)
        endpoint = asked.hooks[Hook.PUBLISH].endpoint
        assert endpoint.usage.outcomes[Outcome.TIMEOUT] + endpoint.usage.outcomes[Outcome.CROWDED] == 8
        assert endpoint.usage.outcomes[Outcome.CROWDED] >= 6
        assert endpoint.breaker.state(asyncio.get_running_loop().time()) is BreakerState.CLOSED


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
    """Hooks are called per configuration and, for channels, per namespace."""
    async with hooks(HttpBackend(), namespaces=["chat", "default"]) as asked:
        assert asked.asks(Hook.CONNECT)
        assert not asked.asks(Hook.RPC)
        asks = {c: asked.asks(Hook.PUBLISH, c) for c in ("chat:a", "$chat:a", "news:a", "lobby", "$lobby")}
        assert asks == {"chat:a": True, "$chat:a": True, "news:a": False, "lobby": True, "$lobby": True}
        assert not asked.watches_channels


async def test_what_browsers_cannot_send_as_headers_comes_with_connect() -> None:
    """Only listed headers are sent; real headers take precedence, and the request itself is unaffected."""
    async with HttpBackend() as backend, hooks(backend, forward=["cookie", "x-shop"]) as asked:
        headers = {
            "Cookie": "session=9", "X-Shop": "1", "X-Other": "1", "Host": "evil", "Content-Length": "0",
            "Transfer-Encoding": "chunked", "Content-Type": "text/plain", "X-Realtime-Signature": "t=1,v1=0",
        }  # fmt: skip
        await asked.connect(Connecting(CALLER, b"", "js", "", (), headers))
        [request] = backend.requests
    assert (request.headers["cookie"], request.headers["x-shop"]) == ("session=7", "1")
    assert request.headers["host"] == f"127.0.0.1:{backend.port}"
    assert request.headers["content-type"] == "application/json"
    assert not {"x-other", "transfer-encoding", "x-realtime-signature"} & request.headers.keys()


async def test_headers_that_are_not_legal_are_refused_before_the_backend_is_asked() -> None:
    """The error is 107, counted, and no failure of the backend."""
    async with HttpBackend() as backend, hooks(backend, forward=["x-shop"]) as asked:
        for headers in ({"x-shop": "1\r\nx-evil: 1"}, {"x shop": "1"}, {"x-other": "\0"}):
            with pytest.raises(CommandError) as caught:
                await asked.connect(Connecting(CALLER, b"", "js", "", (), headers))
            assert caught.value.error == BAD_REQUEST
        assert backend.requests == []
        assert asked.hooks[Hook.CONNECT].endpoint.usage.outcomes == {Outcome.HEADERS: 3}


@pytest.mark.parametrize(
    ("user", "remote", "origin"),
    [
        ("alice", "192.0.2.1", "user alice"),
        ("", "192.0.2.1", "network 192.0.2.1"),
        ("", "2001:db8:1:2:3::4", "network 2001:db8:1:2::/64"),
        ("", "fe80::1%eth0", "network fe80::/64"),
        ("", "", "network "),
    ],
)
def test_a_client_is_known_by_what_it_cannot_change_by_connecting_again(user: str, remote: str, origin: str) -> None:
    """The identity is the user or, without one, the IPv4 address or IPv6 network."""
    assert origin_of(Caller("c1", user, TransportInfo(remote=remote))) == origin
