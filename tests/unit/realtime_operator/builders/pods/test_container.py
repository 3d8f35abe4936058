"""Image and resources of containers over the operator's defaults."""

from __future__ import annotations

import pytest

from realtime_operator.api.v1alpha1_pod import Image, Resources
from realtime_operator.builders.pods.container import SERVER_LIMITS, SERVER_REQUESTS, merge_resources, server_image
from realtime_operator.builders.settings import BuildSettings

Quantities = dict[str, int | str]


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}),
        (
            {"cpu": "0.5"},
            {"cpu": 2},
            {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        ),
        ({}, {"memory": "64Mi"}, {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}),
        ({"memory": "1024Mi"}, {}, {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}),
    ],
)
def test_defaults_give_way(requests: Quantities, limits: Quantities, expected: dict[str, Quantities]) -> None:
    """A request never exceeds its limit, whichever of them the spec sets; quantities are in canonical form."""
    assert merge_resources(Resources(requests=requests, limits=limits), SERVER_REQUESTS, SERVER_LIMITS) == expected


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
    """Repository and tag are replaced independently; a digest is dropped with its repository or tag."""
    settings = BuildSettings(server_image=default, redis_image="redis:7")
    assert server_image(Image(repository=repository, tag=tag), settings) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image(digest=DIGEST), f"ghcr.io/a/server@{DIGEST}"),
        (Image(digest=DIGEST, tag="2.0"), f"ghcr.io/a/server:2.0@{DIGEST}"),
        (Image(digest=DIGEST, repository="own/server"), f"own/server@{DIGEST}"),
    ],
    ids=str,
)
def test_a_digest_names_the_image(image: Image, expected: str) -> None:
    """The default's tag would name another image; the spec's own one stands before the digest."""
    assert server_image(image, BuildSettings(server_image="ghcr.io/a/server:1.0", redis_image="redis")) == expected
