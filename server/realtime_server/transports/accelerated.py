"""Hot path of connections: the C extension where it was compiled, else its Python twin with the same behaviour.

Callers on the hot path import from here; tests run the same cases against both.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, TypeAlias

from realtime_server.transports import frames, outbox

if TYPE_CHECKING:
    Flusher: TypeAlias = outbox.Flusher
    Outbox: TypeAlias = outbox.Outbox
    split = frames.split
    ACCELERATED: bool
else:
    try:
        _chosen = importlib.import_module("realtime_server._native")
        ACCELERATED = True
    except ImportError:
        _chosen = None
        ACCELERATED = False
    Flusher = outbox.Flusher if _chosen is None else _chosen.Flusher
    Outbox = outbox.Outbox if _chosen is None else _chosen.Outbox
    split = frames.split if _chosen is None else _chosen.split
