"""Kubernetes quantities: parsing, comparison, and the canonical form of the API server."""

from __future__ import annotations

import re
from decimal import ROUND_UP, Decimal

_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX_OF = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?", re.ASCII)
_MILLI = Decimal(1).scaleb(-3)


def is_quantity(value: int | str) -> bool:
    """Return True when `parse` accepts the value."""
    return isinstance(value, int) or _QUANTITY.fullmatch(value) is not None


def parse(value: int | str) -> Decimal:
    """Parse a quantity to its exact number; raises ValueError."""
    number, suffix = _split(value)
    if suffix in _BINARY:
        return number * Decimal(1024) ** (_BINARY.index(suffix) + 1)
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]))


def whole(value: int | str) -> int:
    """Return the number rounded up to a whole one, for bytes and cores."""
    return int(parse(value).to_integral_value(rounding=ROUND_UP))


def canonical(value: int | str) -> str:
    """Return the quantity as the API server returns it in a container's resources.

    Without a fraction, with the largest suffix that allows this, in the family (binary, decimal, exponent) in which it
    was written. Digits below a thousandth are rounded up. A binary quantity below 1024 or with a fraction becomes
    decimal.
    """
    _, suffix = _split(value)
    number = parse(value).quantize(_MILLI, rounding=ROUND_UP)
    if suffix in _BINARY and (whole_number := _whole(number)) is not None and abs(whole_number) >= 1024:
        return _canonical_binary(whole_number)
    mantissa, exponent = _canonical_decimal(number)
    if suffix[:1] in {"e", "E"} and suffix not in {"E", "Ei"}:
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_SUFFIX_OF[exponent]}"


def _split(value: int | str) -> tuple[Decimal, str]:
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError(f"not a quantity: {value!r}; write it like 500m, 2 or 256Mi")
    return Decimal(match[1]), match[2] or ""


def _whole(number: Decimal) -> int | None:
    return int(number) if number == number.to_integral_value() else None


def _canonical_binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and number and power < len(_BINARY):
        number //= 1024
        power += 1
    return f"{number}{_BINARY[power - 1] if power else ''}"


def _canonical_decimal(number: Decimal) -> tuple[int, int]:
    """Return mantissa and exponent: the largest multiple of 3 that leaves a whole mantissa."""
    if number == 0:
        return 0, 0
    for exponent in range(18, -4, -3):
        mantissa = _whole(number.scaleb(-exponent))
        if mantissa is not None:
            return mantissa, exponent
    raise AssertionError("the number is a multiple of a thousandth")
