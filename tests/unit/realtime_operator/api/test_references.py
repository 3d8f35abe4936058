"""References to Secrets."""

from __future__ import annotations

from realtime_operator.api.references import Reference, references
from tests.kit.manifests import cluster_of


def test_every_reference_is_found_with_its_path() -> None:
    """In the order of the spec's fields."""
    cluster = cluster_of(
        {
            "auth": {
                "tokens": [{"secretRef": {"name": "t", "key": "a"}}, {"secretRef": {"name": "t", "key": "b"}}],
                "subscriptionTokens": [{"secretRef": {"name": "s", "key": "e"}}],
                "jwks": {"url": "https://id.example/keys", "caSecretRef": {"name": "j", "key": "f"}},
            },
            "api": {
                "keySecretRef": {"name": "k", "key": "c"},
                "keys": [{"name": "shop", "secretRef": {"name": "k", "key": "g"}}],
            },
            "backplane": {"redis": {"external": {"urlSecretRef": {"name": "r", "key": "d"}}}},
        }
    )
    assert references(cluster) == (
        Reference("spec.auth.tokens[0].secretRef", "t", "a"),
        Reference("spec.auth.tokens[1].secretRef", "t", "b"),
        Reference("spec.auth.subscriptionTokens[0].secretRef", "s", "e"),
        Reference("spec.auth.jwks.caSecretRef", "j", "f"),
        Reference("spec.api.keySecretRef", "k", "c"),
        Reference("spec.api.keys[0].secretRef", "k", "g"),
        Reference("spec.backplane.redis.external.urlSecretRef", "r", "d"),
    )


def test_an_empty_spec_refers_to_nothing() -> None:
    """Everything is generated."""
    assert references(cluster_of()) == ()
