"""Tests of references to Secrets."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.api.references import Reference, read_secrets, references, referred_secrets
from tests.kit.manifests import cluster_of


def test_every_reference_is_found_with_its_path() -> None:
    """References are in the order of the spec's fields."""
    cluster = cluster_of(
        {
            "auth": {
                "tokens": [{"secretKeyRef": {"name": "t", "key": "a"}}, {"secretKeyRef": {"name": "t", "key": "b"}}],
                "subscriptionTokens": [{"secretKeyRef": {"name": "s", "key": "e"}}],
                "jwks": {"url": "https://id.example/keys", "ca": {"secretKeyRef": {"name": "j", "key": "f"}}},
            },
            "hooks": {"signingKey": {"secretKeyRef": {"name": "h", "key": "i"}}},
            "api": {
                "key": {"secretKeyRef": {"name": "k", "key": "c"}},
                "keys": [{"name": "shop", "secretKeyRef": {"name": "k", "key": "g"}}],
            },
            "backplane": {"redis": {"external": {"url": {"secretKeyRef": {"name": "r", "key": "d"}}}}},
        }
    )
    assert references(cluster) == (
        Reference("spec.auth.tokens[0].secretKeyRef", "t", "a"),
        Reference("spec.auth.tokens[1].secretKeyRef", "t", "b"),
        Reference("spec.auth.subscriptionTokens[0].secretKeyRef", "s", "e"),
        Reference("spec.auth.jwks.ca.secretKeyRef", "j", "f"),
        Reference("spec.hooks.signingKey.secretKeyRef", "h", "i"),
        Reference("spec.api.key.secretKeyRef", "k", "c"),
        Reference("spec.api.keys[0].secretKeyRef", "k", "g"),
        Reference("spec.backplane.redis.external.url.secretKeyRef", "r", "d"),
    )


def test_certificates_are_referred_to_unless_they_are_issued() -> None:
    """cert-manager makes the Secret of a Certificate, and an Ingress works without its own."""
    given: JsonObject = {"secretRef": {"name": "own"}}
    issued: JsonObject = {**given, "certificate": {"issuerRef": {"name": "private"}, "dnsNames": ["a.example"]}}
    backends: JsonObject = {"ca": {"secretKeyRef": {"name": "backends", "key": "ca.crt"}}}
    cluster = cluster_of(
        {
            "endpoint": {"tls": given, "ingress": {"tls": given}},
            "api": {"tls": {**given, "clientCertificates": backends}},
        }
    )
    assert references(cluster) == (
        Reference("spec.api.tls.secretRef", "own", "tls.crt"),
        Reference("spec.api.tls.secretRef", "own", "tls.key"),
        Reference("spec.api.tls.clientCertificates.ca.secretKeyRef", "backends", "ca.crt"),
        Reference("spec.endpoint.tls.secretRef", "own", "tls.crt"),
        Reference("spec.endpoint.tls.secretRef", "own", "tls.key"),
    )
    assert references(cluster_of({"endpoint": {"tls": issued}, "api": {"tls": issued}})) == ()


def test_the_certificate_of_redis_has_its_authority_beside_it() -> None:
    """Servers need it. That of cert-manager is no reference, but it is read: Redis waits for it."""
    own: JsonObject = {"secretRef": {"name": "own"}}
    issued: JsonObject = {**own, "certificate": {"issuerRef": {"name": "private"}}}
    path = "spec.backplane.redis.managed.tls.secretRef"
    given, made, generated = (
        cluster_of({"backplane": {"redis": {"managed": {"tls": tls}}}}) for tls in (own, issued, {})
    )
    assert references(given) == tuple(Reference(path, "own", key) for key in ("tls.crt", "tls.key", "ca.crt"))
    assert references(made) == references(generated) == ()
    assert referred_secrets(given) == referred_secrets(made) == {"own"}
    assert read_secrets(generated) - read_secrets(cluster_of({})) == {"chat-redis-tls"}


def test_an_empty_spec_refers_to_nothing() -> None:
    assert references(cluster_of()) == ()
