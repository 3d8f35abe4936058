"""The part of the server's configuration that describes message brokers and consumers, and the files that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_message_brokers import Consumer, MessageBroker, QueueMapping, RabbitMqTls
from realtime_operator.api.v1alpha1_server import SecretKeySelector, SecretValue
from realtime_operator.builders.configuration.server_defaults import server_word

URL_FILE = "url"
CA_FILE = "ca.crt"
CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"


def broker_config(broker: MessageBroker) -> JsonObject:
    """Return the configuration of a broker, with defaults."""
    return {
        "name": broker.name,
        "rabbitmq": {
            f"{setting}_file": None if value is None else f"{naming.BROKERS_DIRECTORY}/{_file(broker, file)}"
            for setting, (file, value) in _values(broker).items()
        },
    }


def broker_files(brokers: Sequence[MessageBroker]) -> dict[str, SecretKeySelector]:
    """Return the Secret keys to mount for brokers, by file name."""
    return {
        _file(broker, file): value.secret_key_ref
        for broker in brokers
        for file, value in _values(broker).values()
        if value is not None
    }


def consumer_config(consumer: Consumer) -> JsonObject:
    """Return the configuration of a consumer, with defaults. Durations in seconds."""
    dead_letter, retries = consumer.dead_letter, consumer.retries
    return {
        "broker": consumer.broker,
        "queue": consumer.queue,
        "prefetch": consumer.prefetch,
        "mapping": _mapping(consumer.mapping),
        "dead_letter": None
        if dead_letter is None
        else {"exchange": dead_letter.exchange, "routing_key": dead_letter.routing_key},
        "retries": {
            "attempts": retries.attempts,
            "first_delay_seconds": retries.first_delay_seconds,
            "max_delay_seconds": retries.max_delay_seconds,
        },
    }


def _mapping(mapping: QueueMapping) -> JsonObject:
    methods: list[JsonValue] = [] if mapping.commands is None else [*map(server_word, mapping.commands.methods)]
    return {
        "channel": mapping.channel,
        "channels_header": mapping.channels_header,
        "commands": None if mapping.commands is None else {"methods": methods},
    }


def _values(broker: MessageBroker) -> Mapping[str, tuple[str, SecretValue | None]]:
    """Return the files of a broker and their sources, by the settings without `_file`."""
    tls = broker.rabbit_mq.tls or RabbitMqTls()
    return {
        "url": (URL_FILE, broker.rabbit_mq.url),
        "ca": (CA_FILE, tls.ca),
        "certificate": (CERTIFICATE_FILE, tls.certificate),
        "key": (KEY_FILE, tls.key),
    }


def _file(broker: MessageBroker, file: str) -> str:
    return f"{broker.name}.{file}"
