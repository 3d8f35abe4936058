"""The HTTP session in which kopf lists and watches; it reports to the store what kopf's handlers do not see.

That is: a list is complete, so that objects that are not in it are gone; a watch is open or has ended; lists and
watches have to start anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp

from realtime_operator.api.document import text_at
from realtime_operator.platforms.kubernetes.client import KubernetesClient, address_of, items_of
from realtime_operator.platforms.kubernetes.store import ObjectStore, Part, uid_of, version_of

NOT_FOUND = 404
GONE = 410
"""Status of a page of a list whose continue token has expired."""


class WatchSession:
    """Factory of the session. `restart` is called with the reason for which lists and watches have to start anew.

    An error answer would end kopf, so the request that found the reason gets no answer: `restart` must lead to its
    cancellation.
    """

    def __init__(self, client: KubernetesClient, store: ObjectStore, restart: Callable[[str], None]) -> None:
        self._client = client
        self._store = store
        self._restart = restart
        self._listings: dict[Part, tuple[float, set[str]]] = {}

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._client.server

    def open(self) -> aiohttp.ClientSession:
        """Return a new session; the caller closes it."""
        return self._client.session(self._pass)

    async def _pass(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        address = address_of(request.url.path)
        if address is None:
            return await handler(request)
        part = Part(address.api_version, address.kind, address.namespace)
        if part not in self._store.parts:
            return await handler(request)
        asked_at = time.monotonic()
        response = await handler(request)
        if response.status in {NOT_FOUND, GONE}:
            response.close()
            missing = response.status == NOT_FOUND
            self._restart(f"{part}: not served any more" if missing else f"{part}: the list took too long")
            await asyncio.Event().wait()
        if response.status < 300 and "watch" in request.url.query:
            self._store.watching(part, lambda: _is_open(response))
        elif response.status < 300:
            await self._note_page(part, response, asked_at, first="continue" not in request.url.query)
        return response

    async def _note_page(self, part: Part, response: aiohttp.ClientResponse, asked_at: float, *, first: bool) -> None:
        """Put the objects of a page into the store; after the last page the list is complete.

        Kopf reads the body too.
        """
        page = await response.json()
        if first:
            self._listings[part] = (asked_at, set())
        began, uids = self._listings[part]
        for item in items_of(page):
            self._store.put(item)
            uids.add(uid_of(item))
        if not text_at(page, "metadata", "continue"):
            del self._listings[part]
            self._store.listed(part, uids, version_of(page), began)


def _is_open(response: aiohttp.ClientResponse) -> bool:
    """Return True while more data may come: the answer has not ended, and the connection is not broken."""
    return not response.closed and not response.content.is_eof() and response.content.exception() is None
