"""Types of fields that several models share. The message of each rule shows a valid value."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from realtime_operator.api import duration, quantity
from realtime_operator.api.base import Check, refusal

_NAMESPACE = "^[-_.a-zA-Z0-9]+$"
_DNS_NAME = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_SECRET_KEY = "^[-._a-zA-Z0-9]+$"  # noqa: S105 - a pattern
_SHARE = "^(100|[1-9]?[0-9])%$"
_PERCENTAGE = _SHARE
_POSITIVE_PERCENTAGE = "^(100|[1-9][0-9]?)%$"
_PORT_NAME = "^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$"
_TAG = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
_DIGEST = "^sha256:[0-9a-f]{64}$"
_HOSTNAME = "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_CIDR = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"
_URL_PATH = "^/[^ ?#]*$"
_WORDS = "[a-z0-9]+([._-]+[a-z0-9]+)*"
_REPOSITORY = f"^({_WORDS}(:[0-9]+)?/)?{_WORDS}(/{_WORDS})*$"

MAX_DURATION_HOURS = 720
MIN_BYTES, MAX_BYTES = 1 << 10, 1 << 30


class KeepsRevision:
    """Metadata of a field whose change keeps the revision. Fields without it are part of the revision."""


KEEPS_REVISION = KeepsRevision()


class EmptyIsAbsent:
    """Metadata of an optional object that says the same as no object when all its fields have their defaults."""


EMPTY_IS_ABSENT = EmptyIsAbsent()


def cel_is_duration(expression: str) -> str:
    """Return CEL that tests for a duration; rules over several fields need it before they parse one."""
    return f"({expression} != '' && {expression}.matches('{duration.PATTERN}'))"


def cel_is_quantity(expression: str) -> str:
    """Return CEL that tests for a quantity."""
    return f"isQuantity(string({expression}))"


def _matches(pattern: str, message: str) -> Check[str]:
    return Check(f"self.matches('{pattern}')", message, lambda text: re.fullmatch(pattern, text) is not None)


def _is_sensible_duration(text: str) -> bool:
    return duration.is_duration(text) and 0 < duration.seconds(text) <= MAX_DURATION_HOURS * 3600


def _is_size(value: int | str) -> bool:
    if not quantity.is_quantity(value):
        return False
    number = quantity.parse(value)
    return number == int(number) and MIN_BYTES <= number <= MAX_BYTES


def _is_share(value: int | str) -> bool:
    return value >= 0 if isinstance(value, int) else re.fullmatch(_SHARE, value) is not None


def _is_rate(value: int | str) -> bool:
    return 1 <= value <= 100_000 if isinstance(value, int) else value == "Auto"


def _is_port(value: int | str) -> bool:
    return 1 <= value <= 65_535 if isinstance(value, int) else re.fullmatch(_PORT_NAME, value) is not None


Duration = Annotated[
    str,
    Field(max_length=21),
    Check(
        f"{cel_is_duration('self')} && duration(self) > duration('0s')"
        f" && duration(self) <= duration('{MAX_DURATION_HOURS}h')",
        f"must be a duration like 30s, 10m or 1h30m, longer than 0s and at most {MAX_DURATION_HOURS}h",
        _is_sensible_duration,
    ),
]


Milliseconds = Annotated[
    str,
    Field(max_length=6),
    _matches(duration.MILLISECONDS_PATTERN, "must be whole milliseconds like 5ms, from 0ms to 1000ms"),
]


class _IntOrString:
    """A whole number or a text: the only union that a CRD may have."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"x-kubernetes-int-or-string": True, "maxLength": 32}

    @staticmethod
    def _check(value: object) -> int | str:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise refusal("must be of type integer or string")
        return value


_INT_OR_STRING = _IntOrString()


Size = Annotated[
    int | str,
    _INT_OR_STRING,
    Check(
        f"{cel_is_quantity('self')} && quantity(string(self)).isInteger()"
        f" && quantity(string(self)).asInteger() >= {MIN_BYTES} && quantity(string(self)).asInteger() <= {MAX_BYTES}",
        "must be a number of bytes like 65536, 64Ki or 1Mi, at least 1Ki and at most 1Gi",
        _is_size,
    ),
]

Quantity = Annotated[
    int | str,
    _INT_OR_STRING,
    Check(
        f"{cel_is_quantity('self')} && quantity(string(self)).compareTo(quantity('0')) >= 0",
        "must be a quantity like 500m, 2 or 256Mi, and not negative",
        lambda value: quantity.is_quantity(value) and quantity.parse(value) >= 0,
    ),
]

Share = Annotated[
    int | str,
    _INT_OR_STRING,
    Check(
        f"type(self) == int ? self >= 0 : self.matches('{_SHARE}')",
        "must be a number of servers like 1, or a percentage of them from 0% to 100% like 25%",
        _is_share,
    ),
]

Percentage = Annotated[str, Field(max_length=4), _matches(_PERCENTAGE, "must be a percentage from 0% to 100%, like 5%")]

PositivePercentage = Annotated[
    str, Field(max_length=4), _matches(_POSITIVE_PERCENTAGE, "must be a percentage from 1% to 100%, like 25%")
]

Rate = Annotated[
    int | str,
    _INT_OR_STRING,
    Check(
        "type(self) == int ? self >= 1 && self <= 100000 : self == 'Auto'",
        "must be a number of connections per second from 1 to 100000, or Auto",
        _is_rate,
    ),
]

PortNumberOrName = Annotated[
    int | str,
    _INT_OR_STRING,
    Check(
        f"type(self) == int ? self >= 1 && self <= 65535 : self.matches('{_PORT_NAME}')",
        "must be a port's number from 1 to 65535, or its name like https",
        _is_port,
    ),
]
ObjectName = Annotated[
    str,
    Field(max_length=253),
    _matches(_DNS_NAME, "must be the name of an object: lower case letters, digits, - and ."),
]

SecretKey = Annotated[
    str,
    Field(max_length=253),
    _matches(_SECRET_KEY, "must be the key of a Secret: letters, digits, -, _ and ."),
]

NamespaceName = Annotated[
    str,
    Field(max_length=63),
    _matches(_NAMESPACE, "must be the name of a channel namespace: letters, digits, -, _ and ."),
]

Repository = Annotated[
    str,
    Field(max_length=255),
    _matches(_REPOSITORY, "must be an image without tag or digest, like ghcr.io/realtime-operator/server"),
]

Tag = Annotated[
    str,
    Field(max_length=128),
    _matches(_TAG, "must be an image's tag like 1.4.2: letters, digits, _, . and -"),
]

Digest = Annotated[
    str,
    Field(max_length=71),
    _matches(_DIGEST, "must be an image's digest: sha256: and 64 hexadecimal digits in lower case"),
]

Hostname = Annotated[
    str,
    Field(max_length=253),
    _matches(_HOSTNAME, "must be a host name in lower case, like chat.example.com or *.example.com"),
]

Cidr = Annotated[
    str,
    Field(max_length=43),
    _matches(_CIDR, "must be a network like 10.0.0.0/8 or 2001:db8::/32"),
]

UrlPath = Annotated[
    str,
    Field(max_length=253),
    _matches(_URL_PATH, "must be the beginning of a path, like / or /connection"),
]

Text = Annotated[str, Field(max_length=1024)]
"""Text without a form of its own, bounded so that no rule that reads it is too costly."""

Labels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=16384)]], Field(max_length=32)]
