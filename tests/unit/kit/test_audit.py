"""The audit log tells who wrote what since when."""

from __future__ import annotations

import json
from pathlib import Path

from tests.kit.audit import AuditLog


def line(user: str, verb: str, resource: str) -> str:
    """One event as the API server writes it."""
    event = {
        "user": {"username": user},
        "verb": verb,
        "objectRef": {"resource": resource, "namespace": "n", "name": "x"},
    }
    return json.dumps(event) + "\n"


def test_calls_are_those_of_the_user_since_the_skip(tmp_path: Path) -> None:
    """Earlier calls and calls of others are left out; a name that only contains the user's is another user."""
    path = tmp_path / "audit.log"
    path.write_text(line("me", "create", "pods"))
    log = AuditLog(path)
    log.skip()
    with path.open("a") as more:
        more.write(line("me", "patch", "leases") + line("you", "create", "pods") + line("me-too", "delete", "pods"))
        more.write(line("me", "get", "pods"))
    assert [(call.verb, call.resource, call.writes) for call in log.calls_of("me")] == [
        ("patch", "leases", True),
        ("get", "pods", False),
    ]


def test_requests_without_an_object_are_calls_too(tmp_path: Path) -> None:
    """Discovery has no objectRef."""
    path = tmp_path / "audit.log"
    path.write_text('{"user": {"username": "me"}, "verb": "get", "requestURI": "/api"}\n')
    (call,) = AuditLog(path).calls_of("me")
    assert (call.resource, call.writes) == ("", False)
