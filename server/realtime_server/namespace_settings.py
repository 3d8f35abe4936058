# Generated from schema/namespace_options.toml by `make options`. Do not edit.
"""The options of a channel namespace in the configuration."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from realtime_server.core.model.channel_options import (
    Access,
    ChannelOptions,
    RecoveryMode,
    SlowConsumer,
    SubscribePermission,
)
from realtime_server.core.model.values import HistoryOptions


class History(BaseModel, frozen=True, extra="forbid"):
    """Publications that are kept for clients that come later."""

    size: Annotated[int, Field(ge=1)] = 100
    ttl_seconds: Annotated[float, Field(gt=0, le=2592000)] = 600


class Namespace(BaseModel, frozen=True, extra="forbid"):
    """Options of the channels whose names begin with `name:`; those of `default` hold for channels without a colon."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_.-]+$")]
    history: History | None = None
    recovery: bool = False
    recovery_mode: RecoveryMode = RecoveryMode.STREAM
    ordered: bool = False
    force_positioning: bool = False
    presence: bool = False
    publish: Access = Access.NOBODY
    subscribe: SubscribePermission = SubscribePermission.ANYONE
    presence_for: Access = Access.SUBSCRIBERS
    history_for: Access = Access.SUBSCRIBERS
    join_leave: bool = False
    force_push_join_leave: bool = False
    delta: bool = False
    write_delay_seconds: Annotated[float, Field(ge=0, le=1)] = 0
    slow_consumer: SlowConsumer = SlowConsumer.DISCONNECT
    personal_channel: bool = False
    single_connection: bool = False

    @model_validator(mode="after")
    def _options_go_together(self) -> Self:
        if self.recovery and self.history is None:
            raise ValueError("recovery needs history: set history, or recovery to false")
        if self.recovery_mode is RecoveryMode.CACHE and not self.recovery:
            raise ValueError("recovery_mode needs recovery: set recovery to true, or remove recovery_mode")
        if self.ordered and (
            not self.recovery or self.recovery_mode is RecoveryMode.CACHE or self.write_delay_seconds != 0
        ):
            raise ValueError(
                "ordered needs recovery of all publications, at once: set recovery to true, recovery_mode to "
                "stream and write_delay_seconds to 0, or ordered to false"
            )
        if self.force_positioning and self.history is None:
            raise ValueError("force_positioning needs history: set history, or force_positioning to false")
        if self.force_push_join_leave and not self.join_leave:
            raise ValueError(
                "force_push_join_leave needs join_leave: set join_leave to true, or force_push_join_leave to false"
            )
        if self.slow_consumer is not SlowConsumer.DISCONNECT and (
            self.recovery or self.force_positioning or self.delta
        ):
            raise ValueError(
                f"slow_consumer {self.slow_consumer} skips publications, but recovery, positions and delta are "
                "built: set recovery, force_positioning and delta to false, or slow_consumer to disconnect"
            )
        if self.single_connection and (not self.personal_channel or not self.presence):
            raise ValueError(
                "single_connection needs personal_channel and presence: set both to true, or single_connection to false"
            )
        return self


def channel_options(namespace: Namespace) -> ChannelOptions:
    """Return the options in the form of core."""
    return ChannelOptions(
        history=_history(namespace.history),
        recovery=namespace.recovery,
        recovery_mode=namespace.recovery_mode,
        ordered=namespace.ordered,
        force_positioning=namespace.force_positioning,
        presence=namespace.presence,
        publish=namespace.publish,
        subscribe=namespace.subscribe,
        presence_for=namespace.presence_for,
        history_for=namespace.history_for,
        join_leave=namespace.join_leave,
        force_push_join_leave=namespace.force_push_join_leave,
        delta=namespace.delta,
        write_delay_seconds=namespace.write_delay_seconds,
        slow_consumer=namespace.slow_consumer,
        personal_channel=namespace.personal_channel,
        single_connection=namespace.single_connection,
    )


def _history(history: History | None) -> HistoryOptions | None:
    return None if history is None else HistoryOptions(history.size, history.ttl_seconds)
