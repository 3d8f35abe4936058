"""Options of a namespace from the resource to the server's channels: everything accepted there works here."""

from __future__ import annotations

import itertools
import json

from schema.table import Option, Table

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_namespace import Namespace as SpecNamespace
from realtime_operator.builders.configuration.config_map import full_config, server_config
from realtime_server.app import namespaces_of
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.settings import Settings
from tests.kit.manifests import cluster_of

OPTIONS = [option for option in Table.read().options if option.type in {"enumeration", "boolean"}]
RULED = {field for rule in Table.read().rules for field in {**rule.when, **rule.needs}}
"""Options with rules, of which all combinations are tested; of other options, each value."""


def values(option: Option) -> tuple[JsonValue, ...]:
    """Return all values of an option."""
    return (False, True) if option.type == "boolean" else tuple(option.values)


def accepted() -> list[JsonObject]:
    """Return every combination of options that the resource accepts."""
    ruled = [[(option.field, value) for value in values(option)] for option in OPTIONS if option.field in RULED]
    combined: list[JsonObject] = [{"name": "a", **dict(pairs)} for pairs in itertools.product(*ruled)]
    combined += [{**one, "history": {}} for one in combined]
    alone: list[JsonObject] = [{"name": "a", option.field: value} for option in OPTIONS for value in values(option)]
    return [one for one in combined + alone if _is_accepted(one)]


def _is_accepted(namespace: JsonObject) -> bool:
    try:
        SpecNamespace.model_validate_json(json.dumps(namespace))
    except ValueError:
        return False
    return True


def options_of(config: JsonObject) -> ChannelOptions:
    """Return the options of the channels of `a` on a server with this configuration."""
    found = namespaces_of(Settings.model_validate_json(json.dumps(config))).of("a:1")
    assert found is not None
    return found


def test_what_the_resource_accepts_the_server_accepts() -> None:
    """Short and complete configuration mean the same."""
    combinations = accepted()
    assert len(combinations) > 30
    for namespace in combinations:
        cluster = cluster_of({"namespaces": [namespace]})
        assert options_of(server_config(cluster)) == options_of(full_config(cluster)), namespace


def test_every_value_reaches_the_channel() -> None:
    """The table defines the meaning."""
    for option in OPTIONS:
        for value in values(option):
            beside = next(one for one in accepted() if one.get(option.field) == value)
            found = options_of(server_config(cluster_of({"namespaces": [beside]})))
            expected = option.settings(str(value)) if option.values else {option.server[0].field: value}
            assert {field: getattr(found, field) for field in expected} == expected, (option.field, value)


def test_a_default_of_the_resource_is_left_out() -> None:
    """A server of an earlier release never gets an option that nobody set."""
    assert server_config(cluster_of({"namespaces": [{"name": "a"}]}))["namespaces"] == [{"name": "a"}]
