"""Keys in files with every algorithm, on a real server; rotated while it runs."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from realtime_operator.api.base import JsonValue
from tests.kit.deadline import eventually
from tests.kit.document import dig
from tests.kit.raw_client import ClosedByServerError, raw_client
from tests.kit.server_process import ServerProcess
from tests.kit.tokens import connection_token, subscription_token

SECRETS = ("the first secret of more than sixty-four characters, which is what HS512 wants",
           "the second secret of more than sixty-four characters, which is what HS512 wants")  # fmt: skip
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", *CURVES, "EdDSA")


def pair(algorithm: str) -> tuple[str, str]:
    """Return a new pair: the signing key and the one for the server."""
    if algorithm.startswith("HS"):
        return SECRETS[0], SECRETS[0]
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if algorithm.startswith("RS"):
        private = rsa.generate_private_key(65537, 2048)
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = ec.generate_private_key(CURVES[algorithm])
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), public.decode()


async def answer(server: ServerProcess, token: str) -> JsonValue:
    """Return the outcome of a connect: True, the code of its error, or that of the disconnect."""
    async with raw_client(server.url) as client:
        try:
            reply = await client.command(id=1, connect={"token": token})
        except ClosedByServerError:
            code, _ = await client.closed()
            return code
    return dig(reply, "error", "code") or True


async def test_every_algorithm_is_taken_with_its_own_key(tmp_path: Path) -> None:
    """All algorithms work at once; a public key is no secret, and a key fits no other algorithm."""
    signing, files = {}, []
    for algorithm in ALGORITHMS:
        signing[algorithm], public = pair(algorithm)
        (tmp_path / algorithm).write_text(public)
        files.append({"algorithm": algorithm, "file": str(tmp_path / algorithm)})
    keys: list[JsonValue] = [dict(file) for file in files]
    async with ServerProcess("algorithms", None, auth={"token_keys": keys}) as server:
        for algorithm in ALGORITHMS:
            token = jwt.encode({"sub": "alice"}, signing[algorithm], algorithm=algorithm)
            assert await answer(server, token) is True, algorithm
            strange = SECRETS[1] if algorithm.startswith("HS") else pair(algorithm)[0]
            assert await answer(server, jwt.encode({"sub": "alice"}, strange, algorithm=algorithm)) == 3500, algorithm
        assert await answer(server, jwt.encode({"sub": "alice"}, "", algorithm="none")) == 3500


async def test_a_key_is_rotated_while_the_server_runs(tmp_path: Path) -> None:
    """Both keys are valid while both files exist; then the old one is refused for new connections."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(SECRETS[0])
    keys: list[JsonValue] = [{"algorithm": "HS256", "file": str(file)} for file in (old, new)]
    first, second = (connection_token(secret, "alice") for secret in SECRETS)
    async with ServerProcess("rotation", None, auth={"token_keys": keys}) as server:
        assert [await answer(server, token) for token in (first, second)] == [True, 3500]
        new.write_text(SECRETS[1])
        await eventually(lambda: answer(server, second), lambda got: got is True, what="the new key", within=5)
        assert await answer(server, first) is True
        old.write_bytes(bytes(range(128, 192)))  # no text: no key, and no harm
        await eventually(lambda: answer(server, first), lambda got: got == 3500, what="the old key gone", within=5)
        assert await answer(server, second) is True


CLAIMS: tuple[tuple[dict[str, JsonValue], JsonValue], ...] = (
    ({}, True),
    ({"aud": ["other", "app"]}, True),
    ({"aud": "other"}, 3500),
    ({"iss": "https://else.example"}, 3500),
    ({"exp": -60}, True),
    ({"exp": -180}, 109),
    ({"nbf": 60}, True),
    ({"nbf": 180}, 109),
)
"""Claims of a token and the outcome; `exp` and `nbf` are seconds from now."""


async def test_claims_are_what_the_settings_say(tmp_path: Path) -> None:
    """Issuer, audience, and times with the leeway are checked."""
    (tmp_path / "key").write_text(SECRETS[0])
    auth: dict[str, JsonValue] = {
        "token_keys": [{"algorithm": "HS256", "file": str(tmp_path / "key")}],
        "issuer": "https://id.example", "audience": ["app"], "leeway_seconds": 120,
    }  # fmt: skip
    async with ServerProcess("claims", None, auth=auth) as server:
        for claims, expected in CLAIMS:
            now = int(time.time())
            timed = {name: now + value if isinstance(value, int) else value for name, value in claims.items()}
            whole: dict[str, JsonValue] = {"iss": "https://id.example", "aud": "app", **timed}
            token = connection_token(SECRETS[0], "alice", lifetime=None, **whole)
            assert await answer(server, token) == expected, claims


async def test_subscription_tokens_have_keys_of_their_own(tmp_path: Path) -> None:
    """A key of connection tokens is then refused for subscriptions."""
    for name, secret in zip(("connections", "subscriptions"), SECRETS, strict=True):
        (tmp_path / name).write_text(secret)
    auth: dict[str, JsonValue] = {
        "token_keys": [{"algorithm": "HS256", "file": str(tmp_path / "connections")}],
        "subscription_token_keys": [{"algorithm": "HS256", "file": str(tmp_path / "subscriptions")}],
    }
    async with ServerProcess("channels", None, auth=auth) as server, raw_client(server.url) as client:
        await client.command(id=1, connect={"token": connection_token(SECRETS[0], "alice")})
        codes = [
            dig(await client.command(id=number, subscribe={"channel": "$chat:a", "token": token}), "error", "code")
            for number, token in enumerate((subscription_token(secret, "alice", "$chat:a") for secret in SECRETS), 2)
        ]
    assert codes == [103, None]
