"""Reading of documents within bounds, over HTTP and over TLS with a private certificate."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from realtime_server.connect_errors import ADVICE
from realtime_server.keys.http_document import MAX_DOCUMENT_BYTES, HttpDocument, Source
from realtime_server.keys.json_web_keys import DocumentError
from tests.kit.certificates import Mount, check_strictly
from tests.kit.redis_process import free_port

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def site(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Start a site on loopback, and return its address."""
    application = web.Application()
    application.router.add_get("/keys", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}/keys"
    finally:
        await runner.cleanup()


def answers(body: bytes, status: int = 200) -> Answer:
    """Return a handler with a fixed answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return answer


async def test_a_document_is_read() -> None:
    async with site(answers(b"{}")) as url:
        assert await HttpDocument(Source(url)).read() == b"{}"


@pytest.mark.parametrize("status", [204, 301, 302, 304, 404, 500, 503])
async def test_every_other_answer_is_a_failure(status: int) -> None:
    """The error says which answer it was."""
    async with site(answers(b"", status)) as url:
        with pytest.raises(DocumentError, match=str(status)):
            await HttpDocument(Source(url)).read()


async def test_size_is_bounded() -> None:
    """The bound applies also without a Content-Length."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    async with site(answers(b"x" * MAX_DOCUMENT_BYTES)) as url:
        assert len(await HttpDocument(Source(url)).read()) == MAX_DOCUMENT_BYTES
    async with site(endless) as url:
        with pytest.raises(DocumentError, match="larger than 1048576 bytes"):
            await HttpDocument(Source(url)).read()


async def test_time_is_bounded() -> None:
    """The time limit is for the whole document, not for each part."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    async with site(drip) as url:
        began = time.monotonic()
        with pytest.raises(DocumentError):
            await HttpDocument(Source(url, timeout=0.2)).read()
        assert time.monotonic() - began < 10


async def test_nobody_there() -> None:
    """The error contains no address beyond the configured one."""
    with pytest.raises(DocumentError, match=r"127\.0\.0\.1"):
        await HttpDocument(Source(f"http://127.0.0.1:{free_port()}/keys")).read()


def mounted(folder: Path, *, identifiers: bool = True) -> Mount:
    """Write a certificate of a private authority."""
    mount = Mount(folder, identifiers=identifiers)
    mount.issue()
    return mount


async def test_a_private_certificate_is_trusted_when_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewed authority is used without a restart."""
    check_strictly(monkeypatch)
    first, renewed = mounted(tmp_path / "first"), mounted(tmp_path / "renewed")
    async with site(answers(b"{}"), first.server()) as url:
        with pytest.raises(DocumentError):
            await HttpDocument(Source(url)).read()
        document = HttpDocument(Source(url, ca_file=first.authority))
        assert await document.read() == b"{}"
    async with site(answers(b"{}"), renewed.server()) as url:
        document = HttpDocument(Source(url, ca_file=first.authority))
        with pytest.raises(DocumentError):
            await document.read()
        first.authority.write_bytes(renewed.authority.read_bytes() + b"\n")
        assert await document.read() == b"{}"


async def test_a_certificate_that_is_refused_for_its_form_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has advice: users of Python 3.13 meet this first with an old private authority."""
    check_strictly(monkeypatch)
    old = mounted(tmp_path / "old", identifiers=False)
    async with site(answers(b"{}"), old.server()) as url:
        with pytest.raises(DocumentError) as raised:
            await HttpDocument(Source(url, ca_file=old.authority)).read()
    assert str(raised.value).endswith(ADVICE)


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No other authority is trusted instead."""
    missing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    with pytest.raises(DocumentError, match=r"missing\.pem: cannot be read"):
        await HttpDocument(Source("https://127.0.0.1/", ca_file=missing)).read()
    with pytest.raises(DocumentError):
        await HttpDocument(Source("https://127.0.0.1/", ca_file=garbage)).read()
