"""Models of the part of the spec about message brokers, and the queues whose messages reach clients."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from realtime_operator.api import duration
from realtime_operator.api.base import Check, Model, rule
from realtime_operator.api.fields import Duration, cel_is_duration
from realtime_operator.api.lists import SET
from realtime_operator.api.v1alpha1_routes import MAX_CHANNEL_BYTES
from realtime_operator.api.v1alpha1_server import ApiMethod, SecretValue

BROKER_NAME = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
MOST_SECONDS = 60
_PLACEHOLDER = "[{](routing_key([.][1-9][0-9]?)?|header[.][-A-Za-z0-9_.]{1,64})[}]"
TEMPLATE = f"^([^{{}}: ]*:([^{{}} ]|{_PLACEHOLDER})*|([^{{}}: ]|{_PLACEHOLDER})+)$"
"""Pattern of templates: the namespace, before the first colon, is constant. Servers check the rest when they start."""


def _is_template(text: str) -> bool:
    return (
        re.fullmatch(TEMPLATE, text) is not None
        and text.count("{") <= 8
        and text.isprintable()
        and len(text.encode()) <= MAX_CHANNEL_BYTES
    )


QueueTemplate = Annotated[
    str,
    Field(min_length=1, max_length=MAX_CHANNEL_BYTES),
    Check(
        f"self.matches('{TEMPLATE}') && self.split('{{').size() <= 9 && bytes(self).size() <= {MAX_CHANNEL_BYTES}",
        "must be a channel with placeholders like orders:{routing_key.2}, whose namespace is constant: {routing_key},"
        " {routing_key.N} for its Nth word and {header.NAME}, at most 8 of them",
        _is_template,
    ),
]
BrokerName = Annotated[
    str,
    Field(max_length=63),
    Check(
        f"self.matches('{BROKER_NAME}')",
        "must be a name in lower case: letters, digits and -, with a letter or digit at both ends",
        lambda text: re.fullmatch(BROKER_NAME, text) is not None,
    ),
]
AmqpName = Annotated[str, Field(min_length=1, max_length=255)]


class RabbitMqTls(Model):
    """TLS to RabbitMQ, for a URL that begins with `amqps`. Files that change are used for the next connections."""

    ca: SecretValue | None = None
    """Certificates in PEM of a private authority that RabbitMQ is verified against. Defaults to those of the image."""
    certificate: SecretValue | None = None
    """Certificate in PEM with which servers authenticate, with its chain, for a RabbitMQ that asks clients for one."""
    key: SecretValue | None = None
    """Private key in PEM of `certificate`."""

    @rule(
        "has(self.certificate) == has(self.key)",
        "certificate and key belong together: set both, or none",
        field="key",
    )
    def _certificate_has_its_key(self) -> bool:
        return (self.certificate is None) == (self.key is None)


class RabbitMq(Model):
    """RabbitMQ, reached by AMQP 0-9-1."""

    url: SecretValue
    """URL like `amqp://USER:PASSWORD@rabbitmq.default.svc:5672/VHOST`, or `amqps://` for TLS. A changed value in its
    Secret is used for the next connections, without a restart."""
    tls: RabbitMqTls | None = None
    """Certificates for TLS. Those of the image verify RabbitMQ when absent."""


class MessageBroker(Model):
    """Message broker of your backends."""

    name: BrokerName
    """Name by which consumers refer to it."""
    rabbit_mq: Annotated[RabbitMq, Field(alias="rabbitMQ")]
    """RabbitMQ that runs elsewhere."""


class QueuedCommands(Model):
    """Commands of the server API in the bodies of messages: `{"METHOD": {...}}`, as in a batch."""

    methods: Annotated[tuple[ApiMethod, ...], Field(max_length=32), SET] = ()
    """Methods that messages may call. All when empty."""


class QueueMapping(Model):
    """Meaning of a message. Set exactly one of `channel`, `channelsHeader` and `commands`."""

    channel: QueueTemplate | None = None
    """Template of the channel in which the body is published."""
    channels_header: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Name of a header with the channels in which the body is published, separated by commas."""
    commands: QueuedCommands | None = None
    """Bodies are commands of the server API."""

    @rule(
        "[has(self.channel), has(self.channelsHeader), has(self.commands)].filter(one, one).size() == 1",
        "set exactly one of channel, channelsHeader and commands: it is what a message means",
    )
    def _means_one_thing(self) -> bool:
        return sum(way is not None for way in (self.channel, self.channels_header, self.commands)) == 1


class DeadLetter(Model):
    """Exchange for messages that cannot be carried out."""

    exchange: AmqpName
    """Name of the exchange. While it does not exist, or routes them nowhere, servers keep such messages and try
    again."""
    routing_key: Annotated[str, Field(max_length=255)] | None = None
    """Routing key of dead letters. Defaults to that of the message."""


class Retries(Model):
    """Attempts of a message that fails for a reason that may pass. Other messages of its channel wait meanwhile."""

    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Number of attempts, the first one included, after which the message is a dead letter."""
    first_delay: Duration = "1s"
    """Pause after the first failure; it doubles with each further one. At most 1m."""
    max_delay: Duration = "30s"
    """Longest pause. At most 1m."""

    @rule(
        f"!{cel_is_duration('self.firstDelay')} || duration(self.firstDelay) <= duration('{MOST_SECONDS}s')",
        "firstDelay must be at most 1m: RabbitMQ takes messages back that are not answered in time",
        field="firstDelay",
    )
    def _first_delay_is_short(self) -> bool:
        return self.first_delay_seconds <= MOST_SECONDS

    @rule(
        f"!{cel_is_duration('self.maxDelay')} || duration(self.maxDelay) <= duration('{MOST_SECONDS}s')",
        "maxDelay must be at most 1m: RabbitMQ takes messages back that are not answered in time",
        field="maxDelay",
    )
    def _max_delay_is_short(self) -> bool:
        return self.max_delay_seconds <= MOST_SECONDS

    @property
    def first_delay_seconds(self) -> int:
        """`firstDelay` in seconds."""
        return duration.seconds(self.first_delay)

    @property
    def max_delay_seconds(self) -> int:
        """`maxDelay` in seconds."""
        return duration.seconds(self.max_delay)


class Consumer(Model):
    """Queue whose messages are carried out. One worker of each server consumes it."""

    broker: BrokerName
    """Name of one of `spec.brokers`."""
    queue: AmqpName
    """Name of the queue, which must exist. Declare it with single active consumer to keep the order of channels."""
    prefetch: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Number of messages that a server holds without having answered them."""
    mapping: QueueMapping
    """Meaning of the messages."""
    dead_letter: DeadLetter | None = None
    """Exchange for messages that cannot be carried out. When absent they are rejected, and settings of the queue say
    whether RabbitMQ drops them."""
    retries: Retries = Retries()
    """Attempts of a message."""
