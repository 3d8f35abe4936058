"""The Lua scripts, each of which is one atomic step in Redis."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """A script; `digest` is what Redis calls it."""

    text: str
    digest: str


def _load(*names: str) -> Script:
    folder = resources.files("realtime_server.backplane") / "scripts"
    text = "\n".join((folder / f"{name}.lua").read_text() for name in names)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


GREET = _load("greet")
PUBLISH = _load("stream", "publish")
HISTORY = _load("stream", "history")
PRESENCE_ADD = _load("presence", "presence_add")
PRESENCE_REMOVE = _load("presence", "presence_remove")
PRESENCE_MEMBERS = _load("presence", "presence_members")
PRESENCE_STATS = _load("presence", "presence_stats")
