"""Tests of the memory of generated credentials."""

from __future__ import annotations

from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.credential_memory import CredentialMemory

KEY = Key("team", "chat")


def test_the_value_that_was_seen_last_is_known() -> None:
    """A key that the Secret has lost since is known too."""
    memory = CredentialMemory()
    memory.note(KEY, "uid-1", "chat-credentials", {"api-key": "b2xk", "admin-token": "eA=="})
    memory.note(KEY, "uid-1", "chat-credentials", {"api-key": "bmV3"})
    assert memory.value(KEY, "uid-1", "chat-credentials", "api-key") == "bmV3"
    assert memory.value(KEY, "uid-1", "chat-credentials", "admin-token") == "eA=="
    assert memory.value(KEY, "uid-1", "chat-redis", "api-key") is None


def test_a_new_cluster_of_the_same_name_gets_none_of_its_predecessors() -> None:
    memory = CredentialMemory()
    memory.note(KEY, "uid-1", "chat-credentials", {"api-key": "b2xk"})
    assert memory.value(KEY, "uid-2", "chat-credentials", "api-key") is None
    memory.note(KEY, "uid-2", "chat-credentials", {})
    assert memory.value(KEY, "uid-1", "chat-credentials", "api-key") is None


def test_a_cluster_that_is_gone_is_forgotten() -> None:
    memory = CredentialMemory()
    memory.note(KEY, "uid-1", "chat-credentials", {"api-key": "b2xk"})
    memory.forget(KEY)
    assert memory.value(KEY, "uid-1", "chat-credentials", "api-key") is None
