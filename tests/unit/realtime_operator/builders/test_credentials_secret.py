"""Tests of the generated Secrets."""

from __future__ import annotations

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.build import build_secrets
from realtime_operator.builders.credentials_secret import build_credentials_secret
from tests.kit.manifests import cluster_of

TOKENS: JsonObject = {"auth": {"tokens": [{"secretKeyRef": {"name": "t", "key": "k"}}]}}
API: JsonObject = {"api": {"key": {"secretKeyRef": {"name": "a", "key": "k"}}}}


@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        ({}, {"admin-token", "api-key", "token-secret"}),
        (TOKENS, {"admin-token", "api-key"}),
        (API, {"admin-token", "token-secret"}),
        ({**TOKENS, **API}, {"admin-token"}),
    ],
)
def test_what_the_spec_brings_is_not_generated(spec: JsonObject, keys: set[str]) -> None:
    """The admin token is always generated; the rest only without a reference in the spec; each with a second value."""
    generated = keys | {naming.alternate(key) for key in keys}
    assert set(build_credentials_secret(cluster_of(spec)).keys) == generated


def test_no_manifest_has_a_value() -> None:
    """The manifest has no values: they are generated when the Secret is written."""
    for template in build_secrets(cluster_of()):
        assert not template.manifest.keys() & {"data", "stringData"}


def test_an_external_redis_has_no_password_of_ours() -> None:
    """With an external Redis only the credentials are generated."""
    spec: JsonObject = {
        "backplane": {"redis": {"external": {"url": {"secretKeyRef": {"name": "redis", "key": "url"}}}}}
    }
    assert [len(build_secrets(cluster_of(s))) for s in ({}, spec)] == [2, 1]
