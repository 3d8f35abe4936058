"""Messages about failed connections."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from realtime_server.connect_errors import ADVICE, connect_error
from tests.kit.certificates import Mount


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Run a TLS handshake in memory; raise the error of the client's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


def refusal(mount: Mount, client: ssl.SSLContext) -> ssl.SSLCertVerificationError:
    """Return the reason why the client refuses the mount's certificate."""
    with pytest.raises(ssl.SSLCertVerificationError) as raised:
        shake_hands(mount.server(), client)
    return raised.value


def strict(mount: Mount) -> ssl.SSLContext:
    """Return a client context that trusts the mount's authority, with the checks of Python 3.13."""
    client = mount.client()
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return client


def test_a_strict_check_comes_with_advice(tmp_path: Path) -> None:
    """The advice is added however deeply a library has wrapped the error."""
    old = Mount(tmp_path / "old", identifiers=False)
    old.issue()
    error = refusal(old, strict(old))
    assert connect_error(error) == f"{error}; {ADVICE}"
    assert "Missing Authority Key Identifier" in str(error)
    wrapped = OSError("no link")
    wrapped.__cause__ = ConnectionError("lost")
    wrapped.__cause__.__context__ = error
    assert connect_error(wrapped) == f"no link; {ADVICE}"


def test_certificates_of_the_tests_pass_it(tmp_path: Path) -> None:
    """The certificates of the tests pass the strict check, so that following the advice helps."""
    mount = Mount(tmp_path / "good")
    mount.issue()
    shake_hands(mount.server(), strict(mount))


def test_another_reason_has_none(tmp_path: Path) -> None:
    """A certificate of another authority, which all Pythons refuse, gets no advice."""
    mount, other = Mount(tmp_path / "one"), Mount(tmp_path / "other")
    mount.issue()
    error = refusal(mount, strict(other))
    assert connect_error(error) == str(error)
    assert connect_error(OSError("refused")) == "refused"
    assert connect_error(TimeoutError()) == "TimeoutError"


def test_errors_that_cause_each_other_are_read_once() -> None:
    """A library that raises one error in several tasks makes such a circle."""
    one, other = OSError("one"), OSError("other")
    one.__context__, other.__context__ = other, one
    assert connect_error(one) == "one"
