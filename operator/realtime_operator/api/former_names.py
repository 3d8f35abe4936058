"""Table of former names, places and kinds of values of fields, with the current ones.

`realtime convert` rewrites files by this table, and errors about a former field name the current one. Values of
enumerations without a capital are not in it: they follow from the models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from realtime_operator.api.base import JsonValue

Values = Mapping[str, JsonValue]
HINT = "`realtime convert` updates the file"


class ConversionError(ValueError):
    """An old value has no new one; the message has the reason, and what would be valid."""


def _any_boolean(values: Values) -> bool:
    return any(isinstance(value, bool) for value in values.values())


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Fields of one object that became another field.

    `owner` is the path of an object below the spec, with `[]` for items of a list; `fields` and `target` are paths
    below it. `convert` makes the new value from the existing ones of `fields`; None: the value moves unchanged.
    `is_former` tells old values from new ones where a field keeps its name.
    """

    owner: str
    fields: tuple[str, ...]
    target: str
    convert: Callable[[Values], JsonValue] | None = None
    is_former: Callable[[Values], bool] = _any_boolean

    def applies(self, values: Values) -> bool:
        """Return True when `values`, the existing ones of `fields`, are former ones."""
        return any(name != self.target for name in values) or (bool(values) and self.is_former(values))

    @property
    def path(self) -> str:
        """Current path."""
        return _joined(self.owner, self.target)

    @property
    def former_paths(self) -> tuple[str, ...]:
        """Former paths."""
        return tuple(_joined(self.owner, name) for name in self.fields)


def _joined(owner: str, name: str) -> str:
    return f"spec.{owner}.{name}" if owner else f"spec.{name}"


def _pull_secrets(values: Values) -> JsonValue:
    names = values["image.pullSecrets"]
    return [{"name": name} for name in names] if isinstance(names, list) else names


def _choice(when_true: str, when_false: str) -> Callable[[Values], JsonValue]:
    def convert(values: Values) -> JsonValue:
        (value,) = values.values()
        if not isinstance(value, bool):
            raise ConversionError(f"must be true or false, to be converted to {when_true} or {when_false}")
        return when_true if value else when_false

    return convert


def _event_types(values: Values) -> JsonValue:
    wanted = {"Disconnects": values.get("disconnects", True), "Channels": values.get("channels", False)}
    types: list[JsonValue] = [name for name, is_wanted in wanted.items() if is_wanted is True]
    if not types:
        raise ConversionError("no type of event is enabled: remove hooks.events")
    return types


def _recovery(values: Values) -> JsonValue:
    recovers, mode = values.get("recovery", False), str(values.get("recoveryMode", "stream"))
    modes = {"stream": "Stream", "cache": "Cache"}
    if not isinstance(recovers, bool) or mode not in modes:
        raise ConversionError("must be true or false, with recoveryMode stream or cache")
    if mode == "cache" and not recovers:
        raise ConversionError("is false, but recoveryMode cache requires it: set it to true, or remove recoveryMode")
    return modes[mode] if recovers else "Disabled"


REWRITES = (
    Rewrite("", ("image.pullSecrets",), "pod.imagePullSecrets", _pull_secrets),
    Rewrite("namespaces[]", ("recovery", "recoveryMode"), "recovery", _recovery),
    Rewrite("namespaces[]", ("joinLeave",), "joinLeave", _choice("OnRequest", "Disabled")),
    Rewrite("namespaces[]", ("delta",), "delta", _choice("Fossil", "Disabled")),
    Rewrite("server.compression", ("enabled",), "algorithm", _choice("Deflate", "None")),
    Rewrite("auth", ("anonymous",), "anonymous", _choice("Allow", "Deny")),
    Rewrite("auth", ("audience",), "audiences", lambda values: [values["audience"]]),
    Rewrite("auth.tokens[]", ("secretRef",), "secretKeyRef"),
    Rewrite("auth.subscriptionTokens[]", ("secretRef",), "secretKeyRef"),
    Rewrite("auth.jwks", ("caSecretRef",), "ca.secretKeyRef"),
    Rewrite("hooks", ("secretRef",), "signingKey.secretKeyRef"),
    Rewrite("hooks.events", ("disconnects", "channels"), "types", _event_types),
    Rewrite("api", ("keySecretRef",), "key.secretKeyRef"),
    Rewrite("api.keys[]", ("secretRef",), "secretKeyRef"),
    Rewrite("backplane.redis.external", ("urlSecretRef",), "url.secretKeyRef"),
    Rewrite(
        "rollout.drain", ("connectionsPerSecond",), "connectionsPerSecond", lambda _: "Auto",
        lambda values: values["connectionsPerSecond"] == "auto",
    ),
)  # fmt: skip

_BY_FORMER_PATH = {path: rewrite for rewrite in REWRITES for path in rewrite.former_paths}


def new_name(path: str) -> str | None:
    """Return the current path of a field; None when the path is not a former one. Indexes are ignored."""
    pattern = _pattern(path)
    rewrite = _BY_FORMER_PATH.get(pattern)
    return None if rewrite is None or rewrite.path == pattern else rewrite.path


def is_former_value(path: str, value: JsonValue) -> bool:
    """Return True when a field that keeps its name has a value of its former kind."""
    rewrite = _BY_FORMER_PATH.get(_pattern(path))
    return rewrite is not None and rewrite.applies({rewrite.target: value})


def _pattern(path: str) -> str:
    return re.sub(r"\[[0-9]+\]", "[]", path)
