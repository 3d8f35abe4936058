"""Models of the part of the spec about client protocols."""

from __future__ import annotations

from typing import Literal

from realtime_operator.api.base import Model, rule


class CentrifugeProtocol(Model):
    """Centrifugo's client protocol: WebSocket, SSE and HTTP streaming."""

    mode: Literal["Enabled", "Disabled"] = "Enabled"
    """Availability of the protocol. `Disabled`: its paths, which begin with `/connection/`, and `/emulation` answer
    404. Commands that connect as clients do, like `realtime probe`, need it."""


class Protocols(Model):
    """Protocols that clients may use. A channel is the same in all of them."""

    centrifuge: CentrifugeProtocol = CentrifugeProtocol()
    """Centrifugo's client protocol."""

    @rule(
        "!has(self.centrifuge) || !has(self.centrifuge.mode) || self.centrifuge.mode == 'Enabled'",
        "one protocol must be Enabled, or no client could connect: centrifuge",
        field="centrifuge",
    )
    def _one_is_enabled(self) -> bool:
        return self.centrifuge.mode == "Enabled"
