"""Revocations in Redis. Expiry goes by the clock of Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_partition import Partition
from realtime_server.backplane.redis_reply import Reply, Word, as_bytes, as_int, as_list
from realtime_server.backplane.redis_router import Router
from realtime_server.backplane.redis_scripts import Script
from realtime_server.core.model.revocation import Revocation
from realtime_server.core.ports.backplane import RevocationPage

KINDS = ("values", "expiry", "order", "meta")
"""Kinds of the keys, in the order of the scripts."""
TOKEN, USER = "jti:", "user:"
"""Prefixes of a subject: a token's `jti`, or a user."""


class RedisRevocations:
    """Revocations over Redis: implements RevocationStore while the broker is started."""

    def __init__(self, router: Router, *, most: int, page_size: int) -> None:
        self._router = router
        self._most = most
        self._page_size = page_size

    async def add(self, revocations: Sequence[Revocation]) -> bool:
        """Keep revocations in one script; see RevocationStore."""
        words: list[Word] = [self._most, secrets.token_hex(4)]
        for one in revocations:
            words += (_subject(one), repr(one.issued_before), repr(one.expires_at))
        return bool(as_int(await self._run(scripts.REVOCATIONS_ADD, *words)))

    async def read(self, since: str = "") -> RevocationPage:
        """Read a page in one script; see RevocationStore."""
        epoch, _, place = since.partition(":")
        anew, found_epoch, last, found = as_list(
            await self._run(scripts.REVOCATIONS_READ, epoch, place or "0", self._page_size)
        )
        revocations = tuple(_revocations(found))
        return RevocationPage(
            position=f"{as_bytes(found_epoch).decode()}:{as_int(last)}",
            revocations=revocations,
            from_start=bool(as_int(anew)),
            complete=len(revocations) < self._page_size,
        )

    async def _run(self, script: Script, *arguments: Word) -> Reply:
        keys = self._router.keys
        names = [keys.named(0, "revocations", kind) for kind in KINDS]
        return await self._router.run(self._partition, script, names, *arguments)

    @property
    def _partition(self) -> Partition:
        self._router.keys  # noqa: B018 - raises BackplaneError before the first start
        return self._router.partitions[0]


def _subject(one: Revocation) -> str:
    return TOKEN + one.jti if one.jti else USER + one.user


def _revocations(reply: Reply) -> Iterator[Revocation]:
    """Yield the revocations in a flat list of subject, issued before, expiry and so on."""
    words = iter(as_bytes(word).decode() for word in as_list(reply))
    for subject, issued_before, expires_at in zip(words, words, words, strict=True):
        name = subject.partition(":")[2]
        if subject.startswith(TOKEN):
            yield Revocation(float(expires_at), jti=name)
        else:
            yield Revocation(float(expires_at), user=name, issued_before=float(issued_before))
