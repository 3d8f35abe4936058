"""Connections of commands, made as applications make theirs."""

from __future__ import annotations

from typing import cast

import pytest

from realtime_operator.cli.client import own_token, why_not_connect
from realtime_operator.cli.target import Target
from realtime_operator.errors import InputError
from tests.kit.manifests import cluster_of, without_centrifuge

NEVER = cast("Target", object())
"""Target that is never asked."""


async def test_a_command_says_that_its_protocol_is_off() -> None:
    """Instead of a failed connection; nothing is asked of the cluster before."""
    cluster = without_centrifuge(cluster_of({}))
    with pytest.raises(InputError, match=r"^chat: spec\.protocols\.centrifuge is Disabled"):
        await own_token(NEVER, cluster)


def test_it_connects_to_every_cluster_that_has_it() -> None:
    """With an empty spec too."""
    assert why_not_connect(cluster_of({})) is None
