"""The hot path of connections: in C where it was compiled, else its twin in Python, which does the same.

Whoever is on the hot path imports it from here; tests hold both to the same cases.
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
