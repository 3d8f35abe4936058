"""The page of the guide about clients without an SDK, in a real browser."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from realtime_operator.api.base import JsonObject
from tests.kit.browser import Page, browser
from tests.kit.deadline import eventually
from tests.kit.server_process import ServerProcess

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "plain-websocket.md"
ROUTE: JsonObject = {
    "name": "orders",
    "envelope": "json",
    "subscribe": ["chat:{query.id}"],
    "actions": [{"key": "$default", "publish": {"channel": "chat:{query.id}"}}],
}


def shown(page: Page, *expected: str) -> asyncio.Task[list[str]]:
    """Wait until the page shows exactly these messages, oldest first."""

    async def read() -> list[str]:
        return await asyncio.to_thread(page.texts, "#messages li")

    return asyncio.create_task(eventually(read, lambda texts: texts == [*expected], what="messages", within=30))


async def test_the_page_of_the_guide_works(tmp_path: Path) -> None:
    """It shows what the backend publishes and what it sends itself, and after a drain what it missed."""
    found = re.search(r"```html\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    server = ServerProcess("plain-page", None, auth={"anonymous": True}, protocols={"web_socket": {"routes": [ROUTE]}})
    file = tmp_path / "order.html"
    file.write_text(found[1].replace("127.0.0.1:8000", f"127.0.0.1:{server.client_port}"))
    with browser() as page:
        async with server, server.api() as api:
            await asyncio.to_thread(page.open, file.as_uri())
            await eventually(
                server.metrics,
                lambda text: 'connections{worker="0"} 1.0' in text,
                what="connected",
                within=30,
            )
            await api.publish("chat:7", {"state": "paid"})
            await shown(page, '{"state":"paid"}')
            await asyncio.to_thread(page.submit, "#text", "thanks")
            await shown(page, '{"state":"paid"}', '{"text":"thanks"}')
            await server.admin("POST", "drain", {"connections_per_second": 1000})
            await eventually(server.state, lambda state: state == "drained", what="drained", within=30, every=0.05)
            await api.publish("chat:7", {"state": "packed"})
            await server.admin("POST", "resume")
            await shown(page, '{"state":"paid"}', '{"text":"thanks"}', '{"state":"packed"}')
            assert await asyncio.to_thread(page.console_errors) == []
