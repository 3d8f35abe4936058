"""HTTP document, read within bounds of time and size."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from realtime_server.connect_errors import connect_error
from realtime_server.keys.json_web_keys import DocumentError
from realtime_server.settings import SecretFile

MAX_DOCUMENT_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Source:
    """Location of a document: `timeout` in seconds for the whole read, `ca_file` for a private authority."""

    url: str
    timeout: float = 5.0
    ca_file: Path | None = None


class HttpDocument:
    """Reader of the document at a source. Redirects are not followed: keys come from the configured address alone."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ca_file = None if source.ca_file is None else SecretFile(source.ca_file)
        self._trusted: tuple[str, ssl.SSLContext] | None = None

    @property
    def url(self) -> str:
        """URL of the document."""
        return self._source.url

    async def read(self) -> bytes:
        """Fetch the document. Raises DocumentError when that fails, takes too long, or yields more than 1 MiB."""
        try:
            return await self._read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # ValueError: a CA file of no PEM
            raise DocumentError(connect_error(error)) from error

    async def _read(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=self._source.timeout)
        connector = aiohttp.TCPConnector(ssl=self._context(), limit=1)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            session.get(self._source.url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise DocumentError(f"the answer is {response.status}, not 200")
            body = b""
            async for part in response.content.iter_any():
                body += part
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise DocumentError(f"is larger than {MAX_DOCUMENT_BYTES} bytes")
            return body

    def _context(self) -> ssl.SSLContext:
        """Return the TLS context, built again when the CA file has changed: authorities are renewed at run time."""
        text = "" if self._ca_file is None else self._ca_file.read()
        if self._ca_file is not None and not text:
            raise DocumentError(f"{self._source.ca_file}: cannot be read; it has to hold certificates in PEM")
        if self._trusted is None or self._trusted[0] != text:
            self._trusted = text, ssl.create_default_context(cadata=text or None)
        return self._trusted[1]
