"""Errors of invalid objects.

ValueError
└── InvalidCluster    the object is not a valid RealtimeCluster; carries one Finding for each problem
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError
from pydantic.alias_generators import to_pascal, to_snake

from realtime_operator.api.base import JsonValue
from realtime_operator.api.former_names import HINT, is_former_value, new_name


class FindingReason(StrEnum):
    """Kinds of findings, a closed set."""

    INVALID_FIELD = "InvalidField"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"  # noqa: S105 - a reason


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: its path (`spec.server.heartbeat.timeout`), its kind, and a message with what would be valid."""

    path: str
    reason: FindingReason
    message: str

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{self.path}: {self.message}"


class InvalidCluster(ValueError):  # noqa: N818 - says what the object is
    """The object is not a valid RealtimeCluster."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


_MESSAGES = {
    "extra_forbidden": "is not a known field",
    "missing": "Required value: is required",
    "int_type": "must be of type integer",
    "bool_type": "must be of type boolean",
    "string_type": "must be of type string",
    "tuple_type": "must be of type array",
    "model_type": "must be of type object",
    "dict_type": "must be of type object",
}
"""Messages by pydantic's type of error, in the wording of the API server."""


def findings_of(error: ValidationError) -> tuple[Finding, ...]:
    """Convert pydantic's errors to findings, with paths in Kubernetes' format.

    A list whose items are wrong is not told to be too short: pydantic counts the valid ones.
    """
    findings = []
    entries = error.errors(include_url=False)
    for entry in entries:
        if entry["type"] == "too_short" and any(_is_within(other["loc"], entry["loc"]) for other in entries):
            continue
        field = entry.get("ctx", {}).get("field")
        path = format_path([*entry["loc"], *([field] if isinstance(field, str) else [])])
        message = _MESSAGES.get(entry["type"]) or _bound(entry["type"], entry.get("ctx", {}), entry["msg"])
        hint = _conversion_hint(path, entry["type"], entry["input"], entry.get("ctx", {}))
        findings.append(Finding(path, FindingReason.INVALID_FIELD, f"{message}{hint}"))
    return tuple(findings)


def _is_within(inner: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def format_path(parts: Sequence[str | int]) -> str:
    """Format a path: `("spec", "namespaces", 0, "name")` becomes `spec.namespaces[0].name`.

    The key of a label or annotation is written in brackets: `spec.pod.labels[example.com/team]`.
    """
    path = ""
    for part in parts:
        if isinstance(part, int) or (path and not part.isidentifier() and not part.startswith("$")):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _conversion_hint(path: str, kind: str, value: JsonValue, context: Mapping[str, object]) -> str:
    """Return the new name of a former field or value; empty for others."""
    name = new_name(path)
    if name is not None and kind == "extra_forbidden":
        return f": it was replaced by {name}; {HINT}"
    is_former = is_former_value(path, value)
    if kind == "literal_error" and isinstance(value, str):
        is_former = to_pascal(to_snake(value)) in re.findall("'([^']*)'", str(context["expected"]))
    return f"; {HINT}" if is_former else ""


def _bound(kind: str, context: Mapping[str, object], message: str) -> str:
    """Return the API server's message about a violated bound of the schema."""
    if kind == "literal_error":
        values = ", ".join(f'"{value}"' for value in re.findall("'([^']*)'", str(context["expected"])))
        return f"Unsupported value: supported values: {values}"
    if kind == "too_long":
        return f"must have at most {context['max_length']} items"
    if kind == "too_short":
        return f"should have at least {context['min_length']} items"
    return message.removeprefix("Input ")
