"""Keys in files: which are used, and how changes are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from realtime_server.core.auth.web_token import TokenKey
from realtime_server.keys.key_files import LOOK_AGAIN_SECONDS, KeyFiles, connection_keys, subscription_keys
from realtime_server.settings import Auth, TokenKeyFile

OLD, NEW = "the old secret of more than thirty-two characters", "the new secret of more than thirty-two characters"


class Clock:
    """Clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_change_is_seen_within_a_second(tmp_path: Path) -> None:
    """A change is seen within a second without a check of the file for each token."""
    clock, file = Clock(), tmp_path / "key"
    file.write_text(OLD)
    keys = KeyFiles([("HS256", file)], clock=clock)
    assert keys.read() == (TokenKey("HS256", OLD),)
    file.write_text(f"{NEW}\n\n")
    clock.now = LOOK_AGAIN_SECONDS - 0.01
    assert keys.read() == (TokenKey("HS256", OLD),)
    clock.now = LOOK_AGAIN_SECONDS
    assert keys.read() == (TokenKey("HS256", NEW),)


def test_a_file_that_is_gone_is_no_key(tmp_path: Path) -> None:
    """A deleted secret is not valid any more; other keys are."""
    clock, gone, other = Clock(), tmp_path / "gone", tmp_path / "other"
    gone.write_text(OLD)
    other.write_text(NEW)
    keys = KeyFiles([("HS256", gone), ("HS256", other)], clock=clock)
    assert len(keys.read()) == 2
    gone.unlink()
    clock.now = LOOK_AGAIN_SECONDS
    assert keys.read() == (TokenKey("HS256", NEW),)


def test_what_is_no_key_is_told_once(tmp_path: Path) -> None:
    """The log names the file, once, without its content."""
    clock, file = Clock(), tmp_path / "key.pem"
    file.write_text("not a public key")
    keys = KeyFiles([("ES256", file)], clock=clock)
    with capture_logs() as logs:
        for _ in range(3):
            assert keys.read() == ()
            clock.now += LOOK_AGAIN_SECONDS
    assert [(entry["file"], entry["algorithm"]) for entry in logs] == [(str(file), "ES256")]
    assert "not a public key" not in repr(logs)


def test_a_file_that_is_no_text_is_no_key(tmp_path: Path) -> None:
    """Random bytes, as `openssl rand` writes them, are logged once; tokens are refused, and the server runs on."""
    clock, file, other = Clock(), tmp_path / "binary", tmp_path / "other"
    file.write_bytes(bytes(range(128, 192)))
    other.write_text(NEW)
    keys = KeyFiles([("HS256", file), ("HS256", other)], clock=clock)
    with capture_logs() as logs:
        for _ in range(3):
            assert keys.read() == (TokenKey("HS256", NEW),)
            clock.now += LOOK_AGAIN_SECONDS
    assert [(entry["file"], entry["why"]) for entry in logs] == [(str(file), "is not there, empty, or no text (UTF-8)")]


@pytest.mark.parametrize("own", [True, False])
def test_subscription_tokens_have_keys_of_their_own_or_none(tmp_path: Path, own: bool) -> None:
    """Without files of their own, subscription tokens use the keys of connection tokens."""
    file = tmp_path / "key"
    file.write_text(OLD)
    listed = (TokenKeyFile(algorithm="HS256", file=file),)
    auth = Auth(token_keys=listed, subscription_token_keys=listed if own else ())
    assert connection_keys(auth)() == (TokenKey("HS256", OLD),)
    found = subscription_keys(auth)
    assert (found is not None) == own
    if found is not None:
        assert found() == (TokenKey("HS256", OLD),)
