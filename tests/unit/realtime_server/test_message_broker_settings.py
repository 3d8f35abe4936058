"""Settings of message brokers and consumers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonObject
from realtime_server.settings import Settings, SettingsError

BROKER: JsonObject = {"name": "main", "rabbitmq": {"url_file": "/etc/realtime/brokers/main-url"}}
CONSUMER: JsonObject = {"broker": "main", "queue": "orders", "mapping": {"channel": "orders:{routing_key.2}"}}
TWO_WAYS: JsonObject = {"channel": "a", "commands": {}}
NAMESPACE: JsonObject = {"name": "orders"}


def load(folder: Path, **changes: object) -> Settings:
    """Load a configuration with a broker, a consumer and a namespace, some of them changed."""
    file = folder / "config.json"
    file.write_text(json.dumps({"brokers": [BROKER], "consumers": [CONSUMER], "namespaces": [NAMESPACE], **changes}))
    return Settings.load(file)


def test_a_consumer_has_defaults(tmp_path: Path) -> None:
    (consumer,) = load(tmp_path).consumers
    assert (consumer.prefetch, consumer.retries.attempts, consumer.dead_letter) == (100, 5, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"brokers": []}, "consumers: orders: there is no broker main; define it in brokers"),
        ({"brokers": [BROKER, BROKER]}, "brokers: main is defined twice"),
        ({"consumers": [CONSUMER, CONSUMER]}, "consumers: the queue orders of main is consumed twice"),
        ({"namespaces": []}, "orders:{routing_key.2}: there is no namespace orders; define it in namespaces"),
        ({"consumers": [{**CONSUMER, "prefetch": 0}]}, "consumers.0.prefetch"),
        ({"consumers": [{**CONSUMER, "queue": ""}]}, "consumers.0.queue"),
        ({"consumers": [{**CONSUMER, "mapping": {}}]}, "set one of channel, channels_header and commands"),
        (
            {"consumers": [{**CONSUMER, "mapping": TWO_WAYS}]},
            "set one of channel, channels_header and commands",
        ),
        ({"consumers": [{**CONSUMER, "mapping": {"channel": "{sub}"}}]}, "{sub} is no placeholder"),
        ({"consumers": [{**CONSUMER, "mapping": {"commands": {"methods": ["drop"]}}}]}, "methods"),
        ({"consumers": [{**CONSUMER, "retries": {"attempts": 21}}]}, "retries.attempts"),
        ({"consumers": [{**CONSUMER, "dead_letter": {"exchange": ""}}]}, "dead_letter.exchange"),
        (
            {"brokers": [{"name": "main", "rabbitmq": {"url_file": "url", "key_file": "key"}}]},
            "set certificate_file and key_file together",
        ),
        ({"brokers": [{"name": "Main", "rabbitmq": {"url_file": "url"}}]}, "brokers.0.name"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: JsonObject, why: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(tmp_path, **changes)
    assert why in str(error.value)
