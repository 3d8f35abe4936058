"""Server-Sent Events of a route: by curl, and with the position of the last event."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator

import pytest

from tests.component.plain.routes_site import SECONDS, Site
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = connection_token(TOKEN_SECRET, "alice")
Event = dict[str, str]


class Curl:
    """A running curl that reads an event stream."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def event(self) -> Event:
        """Return the fields of the next event; comments and the pause before a reconnect are no events."""
        found: Event = {}
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while True:
                line = (await self._process.stdout.readline()).decode().rstrip("\n")
                if not line and found:
                    return found
                name, _, value = line.partition(": ")
                if name in {"id", "event", "data"}:
                    found[name] = f"{found[name]}\n{value}" if name in found else value


@contextlib.asynccontextmanager
async def curl(url: str, *headers: str) -> AsyncIterator[Curl]:
    """Run curl on a URL."""
    program = shutil.which("curl")
    assert program is not None
    options = [option for header in (f"Authorization: Bearer {TOKEN}", *headers) for option in ("-H", header)]
    process = await asyncio.create_subprocess_exec(
        program, "--silent", "--no-buffer", *options, url, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Curl(process)
    finally:
        process.kill()
        await process.wait()


def events(site: Site, route: str, query: str = "") -> str:
    """Return the URL of a route's events."""
    return f"http://127.0.0.1:{site.server.client_port}/ws/{route}{query}"


async def test_an_event_is_a_message_with_its_position(site: Site) -> None:
    async with curl(events(site, "feed")) as stream:
        begun = await stream.event()
        assert list(begun) == ["id"], "the position at the beginning, which an EventSource keeps"
        offset, epoch = await site.publish("feed:news", {"text": "a\nb"})
        event = await stream.event()
        assert event == {"id": f"{offset}:{epoch}", "data": '{"text": "a\\nb"}'}


async def test_a_client_that_comes_back_gets_what_it_missed(site: Site) -> None:
    offset, epoch = await site.publish("feed:news", 1)
    missed = [await site.publish("feed:news", number) for number in (2, 3)]
    async with curl(events(site, "feed"), f"Last-Event-ID: {offset}:{epoch}") as stream:
        assert await stream.event() == {"id": f"{offset}:{epoch}"}
        assert await stream.event() == {"id": f"{missed[0][0]}:{epoch}", "data": "2"}
        assert await stream.event() == {"id": f"{missed[1][0]}:{epoch}", "data": "3"}
        await site.publish("feed:news", 4)
        assert (await stream.event())["data"] == "4"
    async with curl(events(site, "feed", f"?since={offset}&epoch={epoch}")) as stream:
        assert await stream.event() == {"id": f"{offset}:{epoch}"}
        assert (await stream.event())["data"] == "2"


async def test_a_client_is_told_when_nothing_can_be_recovered(site: Site) -> None:
    """And goes on with what is new."""
    offset, epoch = await site.publish("feed:news", 1)
    async with curl(events(site, "feed"), "Last-Event-ID: 1:another") as stream:
        event = await stream.event()
        assert (event["id"], event["event"]) == (f"{offset}:{epoch}", "unrecovered")
        assert json.loads(event["data"]) == {"channel": "feed:news", "offset": offset, "epoch": epoch}
        await site.publish("feed:news", "new")
        assert (await stream.event())["data"] == '"new"'


async def test_an_envelope_works_as_over_websocket(site: Site) -> None:
    async with curl(events(site, "orders", "?id=sse")) as stream:
        begun = json.loads((await stream.event())["data"])
        assert begun == {"channel": "chat:sse", "subscribed": {"offset": 0, "epoch": begun["subscribed"]["epoch"]}}
        offset, epoch = await site.publish("chat:sse", 1)
        event = await stream.event()
        assert event["id"] == f"{offset}:{epoch}"
        assert json.loads(event["data"]) == {"channel": "chat:sse", "offset": offset, "epoch": epoch, "data": 1}


@pytest.mark.parametrize(
    ("query", "headers", "status", "why"),
    [
        ("orders", (), 400, "{query.id}: is missing"),
        ("feed", ("Last-Event-ID: nonsense",), 400, "Last-Event-ID must be the id of an event"),
        ("lobby?since=1&epoch=e", (), 400, "this route has no channel to resume"),
        ("guarded?id=alice", (), 403, "permission denied"),
        ("feed", ("Authorization: Bearer nonsense",), 401, "invalid token"),
        ("feed", ("Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"), 426, "pass on"),
    ],
)
async def test_a_refusal_has_a_status_and_says_why(
    site: Site, query: str, headers: tuple[str, ...], status: int, why: str
) -> None:
    """An EventSource does not come back after any of these."""
    program = shutil.which("curl")
    assert program is not None
    authorized = () if any("Bearer" in header for header in headers) else (f"Authorization: Bearer {TOKEN}",)
    options = [option for header in (*authorized, *headers) for option in ("-H", header)]
    process = await asyncio.create_subprocess_exec(
        program, "--silent", "--max-time", str(SECONDS), "-w", "\n%{http_code}", *options, events(site, query),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert output.decode().rpartition("\n")[2] == str(status), output
    assert why in output.decode()


async def test_the_last_event_tells_what_was_missed_in_all_channels(site: Site) -> None:
    """Of a bare route too; an id of before the route had several channels is not refused, and the loss is told."""
    path = "bare-two"
    query = "?a=several&b=several"
    async with curl(events(site, path, query)) as stream:
        begun = [await stream.event(), await stream.event()]
        assert [list(event) for event in begun] == [["id"], ["id"]]
        first = await site.publish("chat:several", "a1")
        event = await stream.event()
        assert (event["data"], event["id"].count(",")) == ('"a1"', 1)
    await site.publish("feed:several", "b1")
    await site.publish("chat:several", "a2")
    async with curl(events(site, path, query), f"Last-Event-ID: {event['id']}") as stream:
        received = [await stream.event() for _ in range(4)]
        assert [one.get("data") for one in received] == [None, '"a2"', None, '"b1"']
        last = received[-1]["id"]
    async with curl(events(site, path, query), f"Last-Event-ID: {last}") as stream:
        await site.publish("feed:several", "b2")
        received = [await stream.event() for _ in range(3)]
        assert [one.get("data") for one in received] == [None, None, '"b2"'], "nothing comes twice"
    async with curl(events(site, path, query), f"Last-Event-ID: {first[0]}:{first[1]}") as stream:
        assert [(await stream.event())["event"] for _ in range(2)] == ["unrecovered", "unrecovered"]


async def test_an_event_stream_that_cannot_be_resumed_is_not_refused(site: Site) -> None:
    """An EventSource gives up after a refusal, and its last event may be of before a change of the route."""
    async with curl(events(site, "lobby"), "Last-Event-ID: 1:x") as stream:
        task = asyncio.create_task(stream.event())
        while not task.done():
            await site.publish("open:lobby", "there")
            await asyncio.sleep(0.05)
        assert (await task)["data"] == '"there"'
