"""Reasons of disconnects, which must not influence SDKs."""

from __future__ import annotations

import pytest

from realtime_server import codes

READ_AS_JSON = (
    "12",
    "-1.5e3",
    "true",
    "null",
    '"text"',
    "[]",
    "{}",
    '{"reconnect": true}',
    " 12\n",
    "1" * 123 + " words",
)


@pytest.mark.parametrize("reason", READ_AS_JSON)
def test_a_reason_that_reads_as_json_is_known(reason: str) -> None:
    """A reason counts as JSON also when only the part that fits into a close frame is JSON."""
    assert codes.is_json(reason)


@pytest.mark.parametrize("reason", ["", "12 o'clock", "NaN", "Infinity", "{", "banned", "null and void"])
def test_a_reason_in_words_is_no_json(reason: str) -> None:
    """Values that only Python accepts as JSON do not count."""
    assert not codes.is_json(reason)


def test_no_reason_of_the_catalogue_is_empty_or_json() -> None:
    """A final code with an empty reason would not be final."""
    assert [code for code in codes.DISCONNECTS if not code.reason or codes.is_json(code.reason)] == []


def test_a_reason_is_cut_between_two_characters() -> None:
    """The reason is cut between characters to the size of a close frame."""
    assert codes.fitting_reason("ä" * 100) == "ä" * 61
    assert codes.fitting_reason("a" * 200) == "a" * 123


def test_every_code_has_a_reason_when_none_is_given() -> None:
    """Each code has its own default reason, or a generic one."""
    assert codes.default_reason(3503) == "force disconnect"
    assert codes.default_reason(4500) == "disconnect"
