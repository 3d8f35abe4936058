"""Keys of tokens in files, which are read again when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from realtime_server.core.web_token import TokenKey, prepare
from realtime_server.settings import Auth, SecretFile

logger = structlog.get_logger()


def connection_keys(auth: Auth) -> Callable[[], list[TokenKey]]:
    """Reads the keys of connection tokens as they are now."""
    return key_files((key.algorithm, key.file) for key in auth.token_keys)


def subscription_keys(auth: Auth) -> Callable[[], list[TokenKey]] | None:
    """Reads the keys of subscription tokens as they are now; None when they are those of connection tokens."""
    if not auth.subscription_token_keys:
        return None
    return key_files((key.algorithm, key.file) for key in auth.subscription_token_keys)


def key_files(listed: Iterable[tuple[str, Path]]) -> Callable[[], list[TokenKey]]:
    """Reads keys as they are now. One that cannot be used is told of in the log, once, and left out."""
    files = [(algorithm, path, SecretFile(path)) for algorithm, path in listed]
    told: set[TokenKey] = set()

    def read() -> list[TokenKey]:
        found = []
        for algorithm, path, file in files:
            key = TokenKey(algorithm, file.read())
            if not key.text:
                continue
            if prepare(key) is not None:
                found.append(key)
            elif key not in told:
                told.add(key)
                logger.warning("token key cannot be used", file=str(path), algorithm=algorithm)
        return found

    return read
