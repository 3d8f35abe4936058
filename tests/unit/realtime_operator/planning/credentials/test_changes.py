"""Tests of the detection of changed credentials."""

from __future__ import annotations

from datetime import timedelta

from realtime_operator.planning.credentials.changes import TOLD_FOR, Credentials, next_credentials
from tests.unit.realtime_operator.planning.simulation import START


def secrets(
    api_key: str = "a" * 64, token_secret: str = "b" * 64, admin_token: str = "c" * 64
) -> dict[str, dict[str, str]]:
    """Return the hashes of the Secret's values."""
    return {"main-credentials": {"api-key": api_key, "token-secret": token_secret, "admin-token": admin_token}}


FIRST = next_credentials("main", secrets(), Credentials(), START)


def test_the_first_ones_are_no_replacement() -> None:
    """Fingerprints are short, and exclude the admin token, which is not used outside."""
    assert Credentials({"api-key": "a" * 8, "token-secret": "b" * 8}) == FIRST


def test_a_missing_secret_is_no_replacement_yet() -> None:
    """The Secret may come back with the same values."""
    gone = next_credentials("main", {}, FIRST, START)
    assert gone == FIRST
    assert next_credentials("main", secrets(), gone, START) == FIRST


def test_a_new_value_is_told_for_a_day() -> None:
    """The message has advice for each key."""
    new = next_credentials("main", secrets(api_key="d" * 64), FIRST, START)
    assert new.replaced == ("api-key",)
    assert new.message("main") == (
        "api-key of Secret main-credentials was replaced at 2026-01-01T00:00:00Z: give your backends the new API key"
    )
    later = next_credentials("main", secrets(api_key="d" * 64), new, START + timedelta(hours=23))
    assert later == new
    over = START + TOLD_FOR
    assert next_credentials("main", secrets(api_key="d" * 64), later, over).replaced_at is None


def test_replacements_one_after_another_are_all_told() -> None:
    """The second report contains the first one."""
    first = next_credentials("main", secrets(api_key="d" * 64), FIRST, START)
    there = secrets(api_key="d" * 64)
    there["main-credentials"]["token-secret"] = "e" * 64
    second = next_credentials("main", there, first, START + timedelta(minutes=6))
    assert second.replaced == ("api-key", "token-secret")


def test_the_admin_token_concerns_nobody() -> None:
    assert next_credentials("main", secrets(admin_token="e" * 64), FIRST, START) == FIRST


def test_a_value_is_not_replaced_while_the_former_one_is_accepted() -> None:
    """A rotation exchanges it with the alternate one; any other new value is a replacement."""
    there = secrets(api_key="d" * 64)
    there["main-credentials"]["api-key-alternate"] = "a" * 64
    rotated = next_credentials("main", there, FIRST, START)
    assert rotated == Credentials({"api-key": "d" * 8, "token-secret": "b" * 8})
    there["main-credentials"]["api-key-alternate"] = "e" * 64
    assert next_credentials("main", there, FIRST, START).replaced == ("api-key",)
    assert next_credentials("main", there, rotated, START) == rotated
