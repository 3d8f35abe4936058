"""A server with every SDK, installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.sdk_programs import SDK_VERSIONS, SdkVersion


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """A Redis for the tests of one module."""
    with running_redis() as process:
        yield process


@pytest.fixture(params=SDK_VERSIONS, ids=lambda sdk: sdk.name.replace(" ", "-"))
def sdk(request: pytest.FixtureRequest) -> SdkVersion:
    """Each version of each SDK by turns."""
    found: SdkVersion = request.param
    found.install()
    return found
