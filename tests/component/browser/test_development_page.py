"""Development page of a server, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio

from tests.kit.browser import Page, browser
from tests.kit.deadline import eventually
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """Start a Redis for the server."""
    with running_redis() as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(redis: RedisProcess) -> AsyncIterator[ServerProcess]:
    """Start a server in development mode."""
    async with ServerProcess("development", redis, development=True) as process:
        yield process


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """Open a page in a browser."""
    with browser() as opened:
        yield opened


def address(server: ServerProcess, *, token: str, channel: str = "chat:lobby") -> str:
    """Return the URL of the page with a channel and a token."""
    return f"http://127.0.0.1:{server.client_port}/?channel={channel}#token={token}"


async def state(page: Page, wanted: str) -> None:
    """Wait until the page shows this state."""
    await eventually(
        lambda: asyncio.to_thread(page.text, "#state"), lambda text: wanted in text, what=wanted, within=15
    )


async def messages(page: Page, *wanted: str) -> None:
    """Wait until these messages are shown, newest first."""
    await eventually(
        lambda: asyncio.to_thread(page.texts, "#messages code"),
        lambda texts: texts[: len(wanted)] == list(wanted),
        what=f"messages {wanted}",
        within=15,
    )


async def test_messages_are_shown_and_sent(server: ServerProcess, page: Page) -> None:
    """Publications of the API appear with their offset, sent messages come back, and no foreign script runs."""
    token = connection_token(TOKEN_SECRET, "alice")
    await asyncio.to_thread(page.open, address(server, token=token))
    await state(page, "subscribed to chat:lobby")
    async with server.api() as api:
        await api.publish("chat:lobby", {"text": "<b>from the API</b>"})
    await messages(page, '{"text":"<b>from the API</b>"}')
    assert page.texts("#messages .offset") == ["1"]
    await asyncio.to_thread(page.submit, "#text", "from the page")
    await messages(page, '{"text":"from the page"}', '{"text":"<b>from the API</b>"}')
    assert page.console_errors() == []


async def test_what_was_missed_is_shown_after_a_reconnect(server: ServerProcess, page: Page) -> None:
    """After the server has moved the connection the page recovers the publications made meanwhile."""
    token = connection_token(TOKEN_SECRET, "alice")
    await asyncio.to_thread(page.open, address(server, token=token, channel="chat:moved"))
    await state(page, "subscribed to chat:moved")
    await server.admin("POST", "drain", {"connections_per_second": 1000})
    await state(page, "connecting again")
    async with server.api() as api:
        for number in (1, 2, 3):
            await api.publish("chat:moved", number)
    await server.admin("POST", "resume")
    await state(page, "subscribed to chat:moved")
    await messages(page, "3", "2", "1")


@pytest.mark.parametrize(
    ("token", "channel", "shown"),
    [
        ("nonsense", "chat:lobby", "3500 invalid token"),
        ("", "chat:lobby", "101 unauthorized"),
        (None, "news:a", "102 unknown channel"),
    ],
)
async def test_a_refusal_is_said(
    server: ServerProcess, page: Page, token: str | None, channel: str, shown: str
) -> None:
    """The page shows the code and does not reconnect."""
    given = connection_token(TOKEN_SECRET, "alice") if token is None else token
    await asyncio.to_thread(page.open, "about:blank")  # a fragment alone would not load the page again
    await asyncio.to_thread(page.open, address(server, token=given, channel=channel))
    await state(page, shown)


async def test_only_a_server_for_developers_shows_it(server: ServerProcess, redis: RedisProcess) -> None:
    """In development it has its policy and is not cached; elsewhere it is not found, without counting a rejection."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{server.client_port}/") as shown:
            assert shown.status == 200
            assert shown.headers["Cache-Control"] == "no-store"
            assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
        assert "handshakes_rejected_total{" not in await server.metrics()
        async with (
            ServerProcess("production", redis) as other,
            session.get(f"http://127.0.0.1:{other.client_port}/") as hidden,
        ):
            assert hidden.status == 404
