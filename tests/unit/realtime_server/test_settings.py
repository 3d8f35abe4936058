"""Validation of the server's configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from realtime_server.app import namespaces_of
from realtime_server.core.model.channel_options import Access, ChannelOptions, RecoveryMode, SlowConsumer
from realtime_server.core.model.values import HistoryOptions
from realtime_server.settings import Listen, Settings, SettingsError


def load(folder: Path, namespace: dict[str, object]) -> Settings:
    """Return settings with this namespace, read from a file."""
    file = folder / "config.json"
    file.write_text(json.dumps({"namespaces": [{"name": "chat", **namespace}]}))
    return Settings.load(file)


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        ({"recovery": True}, "recovery needs history"),
        ({"recovery_mode": "cache"}, "recovery_mode needs recovery"),
        ({"recovery": True, "history": {}, "slow_consumer": "conflate"}, "slow_consumer conflate skips publications"),
        ({"delta": True, "slow_consumer": "dropOldest"}, "slow_consumer dropOldest skips publications"),
        ({"ordered": True}, "ordered needs recovery of all publications"),
        ({"history": {}, "recovery": True, "recovery_mode": "cache", "ordered": True}, "ordered needs recovery of all"),
        ({"history": {}, "recovery": True, "ordered": True, "write_delay_seconds": 0.01}, "ordered needs .* at once"),
        ({"force_positioning": True}, "force_positioning needs history"),
        ({"force_push_join_leave": True}, "force_push_join_leave needs join_leave"),
        (
            {"history": {}, "force_positioning": True, "slow_consumer": "dropOldest"},
            "slow_consumer dropOldest skips publications",
        ),
        ({"single_connection": True, "presence": True}, "single_connection needs personal_channel and pres"),
        (
            {"single_connection": True, "personal_channel": True},
            "single_connection needs personal_channel and presence",
        ),
        ({"write_delay_seconds": 1.5}, "less than or equal to 1"),
        ({"write_delay_seconds": -0.1}, "greater than or equal to 0"),
        ({"slow_consumer": "wait"}, "'disconnect', 'dropOldest' or 'conflate'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, namespace: dict[str, object], message: str
) -> None:
    """The error names the namespace and what would be right."""
    with pytest.raises(SettingsError, match=message) as refused:
        load(tmp_path, namespace)
    assert "config.json: namespaces.0" in str(refused.value)


def test_the_options_of_a_namespace_reach_its_channels(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        {
            "history": {"size": 5, "ttl_seconds": 60},
            "recovery": True,
            "recovery_mode": "cache",
            "presence": True,
            "publish": "anyone",
            "force_positioning": True,
            "join_leave": True,
            "force_push_join_leave": True,
            "delta": True,
            "write_delay_seconds": 0.005,
        },
    )
    assert namespaces_of(settings).of("chat:room") == ChannelOptions(
        history=HistoryOptions(5, 60.0),
        recovery=True,
        presence=True,
        publish=Access.ANYONE,
        recovery_mode=RecoveryMode.CACHE,
        force_positioning=True,
        join_leave=True,
        force_push_join_leave=True,
        delta=True,
        write_delay_seconds=0.005,
    )
    ordered = namespaces_of(load(tmp_path, {"history": {}, "recovery": True, "ordered": True})).of("chat:room")
    assert ordered is not None
    assert ordered.ordered
    dropping = namespaces_of(load(tmp_path, {"slow_consumer": "conflate"})).of("chat:room")
    assert dropping is not None
    assert dropping.slow_consumer is SlowConsumer.CONFLATE


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        ({"proxy_protocol": True}, "proxy_protocol needs trusted_proxies"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies"),
        ({"trusted_proxies": ["proxy.example"]}, "trusted_proxies"),
        ({"forwarded_header": "X-Real-IP"}, "'X-Forwarded-For' or 'Forwarded'"),
        ({"client_port": 9000, "api_port": 9000}, "client_port and api_port are both 9000"),
        ({"client_port": 8002}, "client_port and admin_port are both 8002"),
        ({"api_port": 8002, "api_host": "127.0.0.1"}, "api_port and admin_port are both 8002"),
        ({"host": "[::1]"}, "host"),
        ({"admin_host": ""}, "admin_host"),
        ({"tls": {"certificate_file": "/tls.crt"}}, "tls.key_file: Field required"),
        ({"tls": {"certificate_file": "/a", "key_file": "/b", "min_version": "1.1"}}, "'1.2' or '1.3'"),
    ],
)
def test_listening_that_cannot_be_is_refused(tmp_path: Path, listen: dict[str, object], message: str) -> None:
    """The error names the field and what would be right."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"listen": listen}))
    with pytest.raises(SettingsError, match=message) as refused:
        Settings.load(file)
    assert "config.json: listen" in str(refused.value)


def test_a_single_address_is_a_network_of_one(tmp_path: Path) -> None:
    """IPv4 and IPv6 addresses are accepted."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"listen": {"trusted_proxies": ["10.0.0.1", "fd00::/8"]}}))
    found = Settings.load(file).listen.trusted_proxies
    assert list(map(str, found)) == ["10.0.0.1/32", "fd00::/8"]


def test_a_port_that_nobody_listens_on_may_be_another_ones() -> None:
    """The admin port is free when the admin API is on its socket."""
    listen = Listen(client_port=8002, admin_socket=Path("/run/admin.sock"))
    assert (listen.client_port, listen.admin_port) == (8002, 8002)


def test_every_listener_has_an_address() -> None:
    """A host applies to all listeners or to one; the default is every address of the machine."""
    assert Listen().client_address == ("::", 8000)
    listen = Listen(host="10.0.0.7", admin_host="127.0.0.1")
    assert (listen.client_address, listen.api_address) == (("10.0.0.7", 8000), ("10.0.0.7", 8001))
    assert listen.admin_address == ("127.0.0.1", 8002)
    listen = Listen(client_host="10.0.0.7", api_host="fd00::7")
    assert [listen.client_address[0], listen.api_address[0], listen.admin_address[0]] == ["10.0.0.7", "fd00::7", "::"]


@pytest.mark.parametrize("name", ["host", "content-length", "transfer-encoding", "x-realtime-signature"])
def test_headers_of_a_single_request_are_never_forwarded(tmp_path: Path, name: str) -> None:
    """The error is raised before the server starts."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"hooks": {"forward_headers": ["cookie", name]}}))
    with pytest.raises(SettingsError) as caught:
        Settings.load(file)
    assert f"hooks.forward_headers: {name} applies to a single request" in str(caught.value)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"message_bytes": 40_000, "outbox_bytes": 65_536}, "outbox_bytes must be at least twice message_bytes, 80000"),
        ({"channels_per_connection": 32_769}, "less than or equal to 32768"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(tmp_path: Path, limits: dict[str, int], message: str) -> None:
    """The error names the field and what would be right."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"limits": limits}))
    with pytest.raises(SettingsError, match=message) as refused:
        Settings.load(file)
    assert "config.json: limits" in str(refused.value)


def test_a_namespace_of_socket_io_is_for_channels_of_one_that_is_there(tmp_path: Path) -> None:
    """`default` always is."""
    file = tmp_path / "config.json"
    for name, refused in (("chat", False), ("default", False), ("news", True)):
        socket_io = {"enabled": True, "namespaces": [{"name": "/x", "channel_namespace": name}]}
        file.write_text(json.dumps({"namespaces": [{"name": "chat"}], "protocols": {"socket_io": socket_io}}))
        if refused:
            with pytest.raises(SettingsError, match="/x is for channels of news, which is not one of the namespaces"):
                Settings.load(file)
        else:
            Settings.load(file)
