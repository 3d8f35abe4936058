"""Documents are read within bounds, over HTTP and over TLS with a private certificate."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from realtime_server.keys.http_document import MAX_DOCUMENT_BYTES, HttpDocument, Source
from realtime_server.keys.json_web_keys import DocumentError
from tests.kit.redis_process import free_port

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def site(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A site on loopback; its address."""
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
    """A handler that always says this."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return answer


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1: its file, and what a site needs to use it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = directory / "public.pem", directory / "private.pem"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


async def test_a_document_is_read() -> None:
    """As it is now."""
    async with site(answers(b"{}")) as url:
        assert await HttpDocument(Source(url)).read() == b"{}"


@pytest.mark.parametrize("status", [204, 301, 302, 304, 404, 500, 503])
async def test_every_other_answer_is_a_failure(status: int) -> None:
    """It is told which one."""
    async with site(answers(b"", status)) as url:
        with pytest.raises(DocumentError, match=str(status)):
            await HttpDocument(Source(url)).read()


async def test_size_is_bounded() -> None:
    """Also where the length is not said in advance."""

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
    """For all of it, not for each piece."""

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
        assert time.monotonic() - began < 2


async def test_nobody_there() -> None:
    """No address in the error that is not in the configuration."""
    with pytest.raises(DocumentError, match=r"127\.0\.0\.1"):
        await HttpDocument(Source(f"http://127.0.0.1:{free_port()}/keys")).read()


async def test_a_private_certificate_is_trusted_when_it_is_given(tmp_path: Path) -> None:
    """And a renewed one without a restart."""
    (tmp_path / "renewed").mkdir()
    trusted, context = certificate(tmp_path)
    renewed, renewed_context = certificate(tmp_path / "renewed")
    async with site(answers(b"{}"), context) as url:
        with pytest.raises(DocumentError):
            await HttpDocument(Source(url)).read()
        document = HttpDocument(Source(url, ca_file=trusted))
        assert await document.read() == b"{}"
    async with site(answers(b"{}"), renewed_context) as url:
        document = HttpDocument(Source(url, ca_file=trusted))
        with pytest.raises(DocumentError):
            await document.read()
        trusted.write_bytes(renewed.read_bytes() + b"\n")
        assert await document.read() == b"{}"


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Instead of trusting others in its place."""
    missing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    with pytest.raises(DocumentError, match=r"missing\.pem: cannot be read"):
        await HttpDocument(Source("https://127.0.0.1/", ca_file=missing)).read()
    with pytest.raises(DocumentError):
        await HttpDocument(Source("https://127.0.0.1/", ca_file=garbage)).read()
