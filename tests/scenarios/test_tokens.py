"""Scenario of tokens that are verified with the application's own keys."""

from __future__ import annotations

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.kit.clients import Channel, ClientOptions, Disconnected, all_subscribed
from tests.kit.running_cluster import RunningCluster, manifest
from tests.kit.sdk import JavaScriptClients


async def test_tokens_that_a_private_key_has_signed_are_accepted(cluster: RunningCluster) -> None:
    """The cluster has the public key (ES256) only; a token of another key is refused."""
    private, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    await cluster.put_secret("signing-keys", {"public": public})
    token = {"algorithm": "ES256", "secretKeyRef": {"name": "signing-keys", "key": "public"}}
    await cluster.patch(auth={"tokens": [token]})
    await cluster.wait_ready()

    def clients(key: ec.EllipticCurvePrivateKey, url: str) -> JavaScriptClients:
        signed = jwt.encode({"sub": "alice"}, key, algorithm="ES256")
        return JavaScriptClients(ClientOptions(endpoints=[url], tokens=[signed], channels=[Channel("chat:keys")]))

    async with clients(private, await cluster.url()) as accepted:
        await all_subscribed(accepted)
    async with clients(other, await cluster.url()) as refused:
        await refused.record.wait(lambda r: r.first(Disconnected) is not None, what="the refusal")
        ended = refused.record.first(Disconnected)
        assert isinstance(ended, Disconnected)
        assert ended.code == 3500
