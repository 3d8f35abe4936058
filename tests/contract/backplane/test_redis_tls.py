"""Encrypted links and checked certificates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_server import settings
from realtime_server.backplane.redis import RedisBroker, open_router
from realtime_server.connect_errors import ADVICE
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import HistoryOptions
from tests.contract.backplane.conftest import PASSWORD, TIMING, redis_settings
from tests.contract.backplane.recorder import Recorder
from tests.kit.certificates import Mount, check_strictly
from tests.kit.redis_process import RedisProcess, free_port, running_redis

KEPT = HistoryOptions(size=10, ttl_seconds=60)


def issued(folder: Path, *, identifiers: bool = True) -> Path:
    """Return a folder with ca.crt, and tls.crt and tls.key for 127.0.0.1."""
    Mount(folder, identifiers=identifiers).issue()
    return folder


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Issue valid certificates."""
    return issued(tmp_path / "certificates")


@pytest.fixture
def tls_port() -> int:
    """Return the port for TLS."""
    return free_port()


@pytest.fixture
def encrypted(certificates: Path, tls_port: int) -> Iterator[RedisProcess]:
    """Start a Redis with these certificates."""
    with speaking_tls(certificates, tls_port) as process:
        yield process


@contextlib.contextmanager
def speaking_tls(certificates: Path, tls_port: int, *, mutual: bool = False) -> Iterator[RedisProcess]:
    """Start a Redis with TLS next to its plain port; with `mutual` it asks clients for a certificate."""
    files = {"cert-file": "tls.crt", "key-file": "tls.key", "ca-cert-file": "ca.crt"}
    options = [word for name, file in files.items() for word in (f"--tls-{name}", str(certificates / file))]
    with running_redis(
        PASSWORD, options=("--tls-port", str(tls_port), "--tls-auth-clients", "yes" if mutual else "no", *options)
    ) as process:
        yield process


async def publish_once(place: settings.Redis) -> int:
    """Start a broker there and publish; return the offset."""
    broker = RedisBroker(open_router(place, "tls", TIMING))
    await broker.start(Recorder())
    try:
        position = await broker.publish("news", b"1", KEPT)
    finally:
        await broker.stop()
    assert position is not None
    return position.offset


async def test_a_certificate_of_an_own_authority(
    encrypted: RedisProcess, certificates: Path, tls_port: int, tmp_path: Path
) -> None:
    """The authority is set by fields or by a URL."""
    authority = certificates / "ca.crt"
    address = f"127.0.0.1:{tls_port}"
    plain = redis_settings(encrypted, tmp_path)
    assert await publish_once(plain.model_copy(update={"address": address, "ca_file": authority})) == 1
    url_file = tmp_path / "url"
    url_file.write_text(encrypted.url.replace("redis://", "rediss://").replace(f":{encrypted.port}/", f":{tls_port}/"))
    assert await publish_once(settings.Redis(url_file=url_file, ca_file=authority)) == 2


async def test_a_redis_that_asks_for_a_certificate(certificates: Path, tls_port: int, tmp_path: Path) -> None:
    """A Redis with tls-auth-clients accepts a server by its certificate and its ACL user, and none without them."""
    with speaking_tls(certificates, tls_port, mutual=True) as redis:
        redis.ask("ACL", "SETUSER", "realtime", "on", ">its password", "~*", "&*", "+@all", "-@dangerous", "+info")
        (tmp_path / "password").write_text("its password")
        place = settings.Redis(
            address=f"127.0.0.1:{tls_port}", username="realtime", password_file=tmp_path / "password",
            ca_file=certificates / "ca.crt",
            certificate_file=certificates / "tls.crt", key_file=certificates / "tls.key",
        )  # fmt: skip
        assert await publish_once(place) == 1
        with pytest.raises(BackplaneError, match=r"cannot connect to Redis|lost the link"):
            await publish_once(place.model_copy(update={"certificate_file": None, "key_file": None}))


def open_sockets() -> set[str]:
    """Return the sockets of this process."""
    targets = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.add(str(descriptor.readlink()))
    return {target for target in targets if target.startswith("socket:")}


async def test_a_broker_that_has_stopped_leaves_no_connection(
    encrypted: RedisProcess, certificates: Path, tls_port: int, tmp_path: Path
) -> None:
    """TLS is closed by both sides, so stopping waits for the peer's close notice."""
    before = open_sockets()
    place = redis_settings(encrypted, tmp_path)
    await publish_once(
        place.model_copy(update={"address": f"127.0.0.1:{tls_port}", "ca_file": certificates / "ca.crt"})
    )
    assert open_sockets() <= before


async def test_a_certificate_of_somebody_else_is_refused(
    encrypted: RedisProcess, tls_port: int, tmp_path: Path
) -> None:
    """Without the authority's file only those of the system are trusted."""
    place = redis_settings(encrypted, tmp_path).model_copy(update={"address": f"127.0.0.1:{tls_port}", "tls": True})
    with pytest.raises(BackplaneError, match="certificate verify failed"):
        await publish_once(place)


async def test_a_certificate_of_an_old_authority_is_refused_with_advice(
    tls_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 refuses its form; the URL may ask for the former checks."""
    check_strictly(monkeypatch)
    old = issued(tmp_path / "old", identifiers=False)
    with speaking_tls(old, tls_port) as redis:
        url = redis.url.replace("redis://", "rediss://").replace(f":{redis.port}/", f":{tls_port}/")
        url_file = tmp_path / "url"
        url_file.write_text(url)
        place = settings.Redis(url_file=url_file, ca_file=old / "ca.crt")
        with pytest.raises(BackplaneError, match=ADVICE):
            await publish_once(place)
        url_file.write_text(f"{url}?ssl_exclude_verify_flags=VERIFY_X509_STRICT")
        assert await publish_once(place) == 1
