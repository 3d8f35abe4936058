"""Settings of the client protocols: a part of the server's configuration."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Centrifuge(BaseModel):
    """Centrifugo's protocol: WebSocket, SSE, HTTP streaming, `/emulation`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True


class Protocols(BaseModel):
    """Protocols that clients may use. The paths of one that is off answer 404."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    centrifuge: Centrifuge = Centrifuge()

    @model_validator(mode="after")
    def _one_is_on(self) -> Self:
        if not self.centrifuge.enabled:
            raise ValueError("no client could connect: enable at least one of centrifuge")
        return self
