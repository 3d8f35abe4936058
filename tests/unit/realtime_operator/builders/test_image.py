"""The server's image."""

from __future__ import annotations

import pytest

from realtime_operator.api.v1alpha1_pod import Image
from realtime_operator.builders.image import server_image
from realtime_operator.builders.settings import BuildSettings

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("default", "repository", "tag", "expected"),
    [
        ("ghcr.io/a/server:1.0", None, None, "ghcr.io/a/server:1.0"),
        ("ghcr.io/a/server:1.0", None, "2.0", "ghcr.io/a/server:2.0"),
        ("ghcr.io/a/server:1.0", "own/server", None, "own/server:1.0"),
        ("ghcr.io/a/server:1.0", "own/server", "2.0", "own/server:2.0"),
        ("registry:5000/server:1.0", None, "2.0", "registry:5000/server:2.0"),
        ("registry:5000/server", "own/server", None, "own/server"),
        (f"a/server:1.0@{DIGEST}", None, None, f"a/server:1.0@{DIGEST}"),
        (f"a/server:1.0@{DIGEST}", None, "2.0", "a/server:2.0"),
        (f"a/server:1.0@{DIGEST}", "own/server", None, "own/server:1.0"),
    ],
)
def test_what_is_left_out_comes_from_the_operator(
    default: str, repository: str | None, tag: str | None, expected: str
) -> None:
    """Repository and tag, each by itself; a digest never outlives what it belongs to."""
    settings = BuildSettings(server_image=default, redis_image="redis:7")
    assert server_image(Image(repository=repository, tag=tag), settings) == expected
