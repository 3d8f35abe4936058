"""Channels of a worker that traces: a class of its own, so that publishing costs nothing more without it."""

from __future__ import annotations

from realtime_server.core.channels.hub import Hub
from realtime_server.core.model.publication import Content, with_trace
from realtime_server.core.model.values import StreamPosition


class TracedHub(Hub):
    """Hub whose publications are parts of traces."""

    async def publish(
        self,
        channel: str,
        content: Content,
        *,
        skip_history: bool = False,
        idempotency_key: str = "",
        version: int = 0,
        version_epoch: str = "",
    ) -> StreamPosition | None:
        """Publish within a span, whose context goes with the publication; see Hub."""
        with self._tracing.sending(channel, len(content.data)) as trace:
            return await super().publish(
                channel,
                with_trace(content, trace),
                skip_history=skip_history,
                idempotency_key=idempotency_key,
                version=version,
                version_epoch=version_epoch,
            )
