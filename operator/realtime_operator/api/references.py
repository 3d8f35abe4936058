"""Which Secrets of the user a spec refers to."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_server import SecretReference


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """The field of the spec at `path` refers to the key of a Secret in the cluster's namespace."""

    path: str
    secret: str
    key: str


def references(cluster: RealtimeCluster) -> tuple[Reference, ...]:
    """Every reference of the spec, in the order of its fields."""
    spec = cluster.spec
    found = [
        _reference(f"spec.auth.tokens[{index}].secretRef", token.secret_ref)
        for index, token in enumerate(spec.auth.tokens)
    ]
    found += [
        _reference(f"spec.auth.subscriptionTokens[{index}].secretRef", token.secret_ref)
        for index, token in enumerate(spec.auth.subscription_tokens)
    ]
    if spec.auth.jwks is not None and spec.auth.jwks.ca_secret_ref is not None:
        found.append(_reference("spec.auth.jwks.caSecretRef", spec.auth.jwks.ca_secret_ref))
    if spec.hooks.secret_ref is not None:
        found.append(_reference("spec.hooks.secretRef", spec.hooks.secret_ref))
    if spec.api.key_secret_ref is not None:
        found.append(_reference("spec.api.keySecretRef", spec.api.key_secret_ref))
    found += [
        _reference(f"spec.api.keys[{index}].secretRef", key.secret_ref) for index, key in enumerate(spec.api.keys)
    ]
    if spec.backplane.redis.external is not None:
        path = "spec.backplane.redis.external.urlSecretRef"
        found.append(_reference(path, spec.backplane.redis.external.url_secret_ref))
    return tuple(found)


def _reference(path: str, reference: SecretReference) -> Reference:
    return Reference(path, reference.name, reference.key)
