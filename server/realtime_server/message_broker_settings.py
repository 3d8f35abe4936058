"""Settings of message brokers and of the queues that are consumed: a part of the server's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from realtime_server.api_settings import ApiMethod
from realtime_server.protocols.queues.template import parse_template

Name = Annotated[str, Field(pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
ShortText = Annotated[str, Field(max_length=255)]
"""A name of AMQP."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RabbitMq(_Model):
    """Where RabbitMQ is: a file with its URL, `amqp://USER:PASSWORD@HOST:PORT/VHOST`, or `amqps://` for TLS.

    `ca_file` has the certificates that its certificate is checked against, instead of the system's; `certificate_file`
    and `key_file` are this server's own. All files are read again for every connection.
    """

    url_file: Path
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("set certificate_file and key_file together")
        return self


class MessageBroker(_Model):
    """A message broker, to which consumers refer by its name."""

    name: Name
    rabbitmq: RabbitMq


class QueuedCommands(_Model):
    """Messages whose body is a command of the server API; `methods`: those that they may call, empty: all."""

    methods: tuple[ApiMethod, ...] = ()


class QueueMapping(_Model):
    """What a message means: one of three.

    `channel`: a publication of its body in the channel of a template. `channels_header`: one in the channels that a
    header names. `commands`: its body is a command of the server API.
    """

    channel: str | None = None
    channels_header: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    commands: QueuedCommands | None = None

    @field_validator("channel")
    @classmethod
    def _channel_is_a_template(cls, channel: str | None) -> str | None:
        return None if channel is None else parse_template(channel).text

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(way is not None for way in (self.channel, self.channels_header, self.commands)) != 1:
            raise ValueError("set one of channel, channels_header and commands")
        return self


class DeadLetter(_Model):
    """Where messages go that cannot be carried out; `routing_key`: None for that of the message."""

    exchange: Annotated[ShortText, Field(min_length=1)]
    routing_key: ShortText | None = None


class Retries(_Model):
    """How often a message is tried, and the pauses between, which double; all in all less than a consumer timeout."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    first_delay_seconds: Annotated[float, Field(gt=0, le=60)] = 1
    max_delay_seconds: Annotated[float, Field(gt=0, le=60)] = 30


class Consumer(_Model):
    """A queue that is consumed. `prefetch`: messages that a server holds without having answered them.

    Without `dead_letter` a message that cannot be carried out is rejected, and the queue's own settings decide.
    """

    broker: Name
    queue: Annotated[ShortText, Field(min_length=1)]
    prefetch: Annotated[int, Field(ge=1, le=10_000)] = 100
    mapping: QueueMapping
    dead_letter: DeadLetter | None = None
    retries: Retries = Retries()


def check_consumers(
    brokers: Sequence[MessageBroker], consumers: Sequence[Consumer], namespaces: frozenset[str]
) -> None:
    """Raise ValueError for brokers and consumers that do not fit the rest of the configuration.

    `namespaces` are the names of all namespaces.
    """
    names = [broker.name for broker in brokers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"brokers: {twice[0]} is defined twice")
    queues = [(consumer.broker, consumer.queue) for consumer in consumers]
    for broker, queue in queues:
        if broker not in names:
            raise ValueError(f"consumers: {queue}: there is no broker {broker}; define it in brokers")
        if queues.count((broker, queue)) > 1:
            raise ValueError(f"consumers: the queue {queue} of {broker} is consumed twice")
    for consumer in consumers:
        if consumer.mapping.channel is None:
            continue
        namespace = parse_template(consumer.mapping.channel).namespace
        if namespace is not None and namespace not in namespaces:
            raise ValueError(
                f"consumers: {consumer.queue}: {consumer.mapping.channel}: there is no namespace {namespace}; define it"
                " in namespaces"
            )
