"""Lua scripts, each of which is one atomic step in Redis."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """Lua script; `digest` is its SHA-1, by which EVALSHA runs it."""

    text: str
    digest: str


def _load(*names: str) -> Script:
    folder = resources.files("realtime_server.backplane") / "scripts"
    text = "\n".join((folder / f"{name}.lua").read_text() for name in names)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


GREET = _load("clock", "greet")
BEAT = _load("clock", "beat")
LEAVE = _load("leave")
PUBLISH = _load("clock", "stream", "publish")
PUBLISH_ONCE = _load("publish_once")
HISTORY = _load("clock", "stream", "history")
MISSED = _load("clock", "stream", "missed")
ARCHIVE_READ = _load("clock", "stream", "archive_read")
ARCHIVE_WRITE = _load("archive_write")
ARCHIVE_COMMIT = _load("clock", "stream", "archive_commit")
PRESENCE_ADD = _load("clock", "presence", "presence_add")
PRESENCE_REMOVE = _load("clock", "presence", "presence_remove")
PRESENCE_LEAVES = _load("clock", "presence", "presence_leaves")
PRESENCE_MEMBERS = _load("clock", "presence", "presence_members")
PRESENCE_STATS = _load("clock", "presence", "presence_stats")
REVOCATIONS_ADD = _load("clock", "revocations", "revocations_add")
REVOCATIONS_READ = _load("clock", "revocations", "revocations_read")
SESSIONS_PUT = _load("clock", "sessions", "sessions_put")
SESSIONS_RENEW = _load("clock", "sessions", "sessions_renew")
SESSIONS_TAKE = _load("clock", "sessions", "sessions_take")
SESSIONS_REMOVE = _load("clock", "sessions", "sessions_remove")
OCCUPY = _load("occupy")
VACATE = _load("vacate")
OCCUPANTS = _load("clock", "occupants")
REMOVE_GONE = _load("clock", "remove_gone")
APPEND = _load("append")
DONE = _load("done")
RETIRE_CONSUMERS = _load("retire_consumers")
