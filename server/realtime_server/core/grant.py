"""What lets a subscription in, and under which conditions: a token, a hook, or the server API."""

from __future__ import annotations

from msgspec import Struct

from realtime_server.core.override import AS_THE_NAMESPACE, Override


class Grant(Struct, frozen=True, gc=False):
    """`info` is raw JSON that others see, `data` raw data for the subscriber; `expires_at` Unix time in seconds."""

    info: bytes | None = None
    data: bytes | None = None
    expires_at: float | None = None
    renewed_by_hook: bool = False
    """Whether the backend is asked when its time is over, instead of the client."""
    override: Override = AS_THE_NAMESPACE


PLAIN = Grant()
