"""The HTTP session in which kopf lists and watches: what passes it tells the store what kopf does not tell handlers.

That is: a list is complete, so that what is not in it has gone; a watch is open, or it has ended; lists and watches
have to begin anew.
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
"""A page of a list was asked for too late."""


class WatchSession:
    """Makes the session. `restart` is called with the reason for which lists and watches have to begin anew.

    kopf would end over it, so nothing is answered to the request that found out: whoever is told cancels it.
    """

    def __init__(self, client: KubernetesClient, store: ObjectStore, restart: Callable[[str], None]) -> None:
        self._client = client
        self._store = store
        self._restart = restart
        self._listings: dict[Part, tuple[float, set[str]]] = {}

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return self._client.server

    def open(self) -> aiohttp.ClientSession:
        """A new session; whoever opens it closes it."""
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
        """Take the objects of a page; after the last one the list is complete. kopf reads the same bytes again."""
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
    """True while more may come: the API server has not ended the answer, and the connection is not broken."""
    return not response.closed and not response.content.is_eof() and response.content.exception() is None
