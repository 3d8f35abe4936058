"""Location of Redis from URLs and settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from redis.asyncio.connection import SSLConnection

from realtime_server import settings
from realtime_server.backplane.redis_link import Timing
from realtime_server.backplane.redis_target import Endpoint, EndpointReader, Mode, endpoint_of
from realtime_server.core.model.errors import BackplaneError


def login(endpoint: Endpoint) -> tuple[object, object]:
    """Return user and password."""
    return endpoint.options.get("username"), endpoint.options.get("password")


def test_one_redis() -> None:
    endpoint = endpoint_of("redis://ann:p%40ss@redis.example.com:6380/2")
    assert (endpoint.mode, endpoint.addresses) == (Mode.STANDALONE, (("redis.example.com", 6380),))
    assert (login(endpoint), endpoint.options["db"]) == (("ann", "p@ss"), 2)
    assert endpoint.partitions == 1


def test_sentinels() -> None:
    """The URL's user is for Redis; the sentinels' own credentials are in the query."""
    url = "rediss+sentinel://ann:pw@s1:26380,s2,[::1]:26381/main/3?sentinel_username=eve&sentinel_password=x%20y"
    endpoint = endpoint_of(url)
    assert endpoint.mode is Mode.SENTINEL
    assert endpoint.addresses == (("s1", 26380), ("s2", 26379), ("::1", 26381))
    assert (endpoint.primary_name, endpoint.options["db"]) == ("main", 3)
    assert login(endpoint) == ("ann", "pw")
    expected = {"username": "eve", "password": "x y", "connection_class": SSLConnection}
    assert endpoint.sentinel_options == expected


def test_a_cluster() -> None:
    """The URL lists some nodes and the number of partitions."""
    endpoint = endpoint_of("redis+cluster://:pw@n1:7000,n2:7001")
    assert (endpoint.mode, endpoint.addresses) == (Mode.CLUSTER, (("n1", 7000), ("n2", 7001)))
    assert (login(endpoint), endpoint.partitions) == ((None, "pw"), 64)
    assert endpoint_of("redis+cluster://n1?partitions=256").partitions == 256


def test_addresses_of_ipv6() -> None:
    """IPv6 addresses may stand anywhere in the list, with or without a port; recent urlsplit refuses such lists."""
    addresses = endpoint_of("redis+cluster://ann:p%5Bw@[fd00::1]:7000,n2,[fd00::3]?partitions=8#x").addresses
    assert addresses == (("fd00::1", 7000), ("n2", 6379), ("fd00::3", 6379))
    assert endpoint_of("redis://[fd00::1]:6380/2").addresses == (("fd00::1", 6380),)
    for wrong in ("redis+cluster://[fd00::1,n2", "redis+cluster://n1,fd00::3]:1", "redis+cluster://n1,", "redis//n1"):
        with pytest.raises(ValueError, match=r".+"):
            endpoint_of(wrong)


def test_a_unix_socket() -> None:
    """A Unix socket has no host, but may have credentials."""
    endpoint = endpoint_of("unix://:secret@/run/redis.sock?db=1")
    assert (endpoint.addresses, login(endpoint)) == ((), (None, "secret"))
    assert (endpoint.options["path"], endpoint.options["db"]) == ("/run/redis.sock", 1)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://s1:26379", "redis+cluster://n1/3", "redis+cluster://n1?partitions=0", "redis+tower://n1",
        "redis+cluster://n1?partitions=many", "", "redis://", "redis+sentinel:///main", "redis://h:notaport", "http://h",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    """An invalid URL raises an error without the URL, which may contain a password."""
    with pytest.raises(ValueError, match=r".+"):
        endpoint_of(url)


def test_a_secret_is_in_no_representation() -> None:
    """The representation of an endpoint, which may be logged, contains no secret."""
    assert "s3cret" not in repr(endpoint_of("redis+sentinel://:s3cret@h/main?sentinel_password=s3cret"))


def test_fields_say_the_same_as_a_url(tmp_path: Path) -> None:
    """Fields give the same endpoint as a URL, with passwords read from files."""
    (tmp_path / "redis").write_text("pw\n")
    (tmp_path / "sentinel").write_text("x y\n")
    sentinel = settings.RedisSentinel(
        addresses=("s1:26380", "[::1]:26381"), master_name="main", username="eve", password_file=tmp_path / "sentinel"
    )
    place = settings.Redis(sentinel=sentinel, username="ann", password_file=tmp_path / "redis", tls=True)
    url = "rediss+sentinel://ann:pw@s1:26380,[::1]:26381/main?sentinel_username=eve&sentinel_password=x%20y"
    assert EndpointReader(place).read() == endpoint_of(url)
    nodes = settings.RedisCluster(addresses=("n1:7000",), partitions=8)
    place = settings.Redis(cluster=nodes, username="ann", password_file=tmp_path / "redis")
    assert EndpointReader(place).read() == endpoint_of("redis+cluster://ann:pw@n1:7000?partitions=8")


def test_certificates_of_an_own_authority(tmp_path: Path) -> None:
    """A CA file turns TLS on for fields, and applies to a URL that asks for TLS."""
    authority = tmp_path / "ca.pem"
    read = EndpointReader(settings.Redis(address="h:1", ca_file=authority)).read()
    assert read.options == {"connection_class": SSLConnection, "ssl_ca_certs": str(authority)}
    for scheme, expected in (("rediss", str(authority)), ("redis", None)):
        (tmp_path / "url").write_text(f"{scheme}://h:1")
        read = EndpointReader(settings.Redis(url_file=tmp_path / "url", ca_file=authority)).read()
        assert read.options.get("ssl_ca_certs") == expected
        assert read.connection(("h", 1), Timing()) is not None


def test_certificate_of_the_server(tmp_path: Path) -> None:
    """A certificate turns TLS on for fields, and applies to a URL that asks for TLS, at sentinels too."""
    own = {"certificate_file": tmp_path / "tls.crt", "key_file": tmp_path / "tls.key"}
    expected = {"ssl_certfile": str(own["certificate_file"]), "ssl_keyfile": str(own["key_file"])}
    sentinel = settings.RedisSentinel(addresses=("s:1",), master_name="main")
    read = EndpointReader(settings.Redis(sentinel=sentinel, **own)).read()
    assert read.options == read.sentinel_options == {"connection_class": SSLConnection, **expected}
    (tmp_path / "url").write_text("rediss://h:1")
    read = EndpointReader(settings.Redis(url_file=tmp_path / "url", **own)).read()
    assert expected.items() <= dict(read.options).items()


def test_database_without_a_url() -> None:
    """The database applies to Redis, not to sentinels, which have none."""
    assert EndpointReader(settings.Redis(address="h:1", database=3)).read().options == {"db": 3}
    sentinel = settings.RedisSentinel(addresses=("s:1",), master_name="main")
    read = EndpointReader(settings.Redis(sentinel=sentinel, database=3)).read()
    assert (read.options, read.sentinel_options) == ({"db": 3}, {})


def test_an_unreadable_url_is_told_without_it(tmp_path: Path) -> None:
    """The error for an unreadable URL, which is logged, does not contain the URL."""
    (tmp_path / "url").write_text("redis://:s3cret@h:notaport")
    with pytest.raises(BackplaneError) as raised:
        EndpointReader(settings.Redis(url_file=tmp_path / "url")).read()
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "set one of url_file, address, sentinel, cluster"),
        ({"address": "h:1", "url_file": "/u"}, "set one of"),
        ({"address": "h:1", "cluster": {"addresses": ["n:1"]}}, "set one of"),
        ({"url_file": "/u", "password_file": "/p"}, "password_file is part of the URL"),
        ({"url_file": "/u", "tls": True}, "tls is part of the URL"),
        ({"url_file": "/u", "database": 1}, "database is part of the URL"),
        ({"cluster": {"addresses": ["n:1"]}, "database": 1}, "database must be 0"),
        ({"address": "h:1", "key_file": "/k"}, "set certificate_file and key_file together"),
        ({"address": "no port"}, "address"),
        ({"address": "h:1", "mode": "cluster"}, "mode"),
        ({"cluster": {"addresses": []}}, "addresses"),
        ({"cluster": {"addresses": ["n:1"], "partitions": 0}}, "partitions"),
        ({"sentinel": {"addresses": ["s:1"]}}, "master_name"),
        ({"sentinel": {"addresses": ["s:1"], "master_name": "m", "quorum": 2}}, "quorum"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, object], message: str) -> None:
    """Contradictory settings are refused by name."""
    with pytest.raises(ValidationError, match=message):
        settings.Redis.model_validate(fields)


@pytest.mark.parametrize("prefix", ["a{b}", "", "a b"])
def test_a_prefix_has_no_braces(prefix: str) -> None:
    """Braces in a prefix are refused, because they would end the hash tag."""
    with pytest.raises(ValidationError, match="prefix"):
        settings.Backplane(prefix=prefix)
