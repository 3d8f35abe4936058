"""Comparison of credentials, and shape of errors."""

from __future__ import annotations

import json

import pytest

from realtime_server.admin.responses import error_response, same_secret


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ("secret", "secret", True),
        ("secret", "other", False),
        ("", "secret", False),
        ("", "", False),
        ("x", "", False),
        ("é", "é", True),
        ("\udcff", "secret", False),
    ],
)
def test_nothing_is_equal_to_an_empty_secret(given: str, wanted: str, expected: bool) -> None:
    """With a missing key file no credential is accepted, whatever bytes the header has."""
    assert same_secret(given, wanted) is expected


def test_an_error_says_its_status_and_why() -> None:
    response = error_response(400, "no")
    assert response.status == 400
    assert isinstance(response.text, str)
    assert json.loads(response.text) == {"error": {"code": 400, "message": "no"}}
