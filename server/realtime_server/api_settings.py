"""Settings of the keys of the server API: a part of the server's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ApiMethod = Literal[
    "publish", "broadcast", "subscribe", "unsubscribe", "disconnect", "send", "refresh", "revoke", "presence",
    "presence_stats", "history", "history_remove", "channels", "info", "emit", "join", "leave", "sockets",
]  # fmt: skip


class ApiKey(BaseModel):
    """A key for some methods and channels. No methods, no channels: all; 0 calls per second: no limit.

    `channels` are patterns (`*`, `?`) that every channel of a call has to match. Calls are those of the whole server.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_.-]+$")]
    file: Path
    methods: tuple[ApiMethod, ...] = ()
    channels: tuple[str, ...] = ()
    calls_per_second: Annotated[float, Field(ge=0)] = 0
