"""Non-HTTP input on the ports of the APIs."""

from __future__ import annotations

import asyncio

from tests.kit.server_process import ServerProcess


async def test_what_is_no_http_is_answered_and_not_logged() -> None:
    """Invalid input is answered without a log entry, as it would fill the log with stack traces."""
    async with ServerProcess("strange", None) as server:
        for port in (server.api_port, server.admin_port):
            for _ in range(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Null: \x00\r\n\r\n")
                async with asyncio.timeout(5):
                    assert (await reader.readline()).startswith(b"HTTP/1.0 400")
                writer.close()
                await writer.wait_closed()
        assert "Traceback" not in server.log.read_text()
        async with server.api() as api:
            assert await api.publish("open:a", 1) == (0, "")
