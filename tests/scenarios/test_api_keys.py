"""Scenario of backends with keys of limited permissions."""

from __future__ import annotations

import pytest

from tests.kit.api import ApiError, ServerApi
from tests.kit.deadline import eventually
from tests.kit.running_cluster import RunningCluster, manifest


async def test_a_backend_may_do_what_its_key_is_for(cluster: RunningCluster) -> None:
    """The cluster's own key permits everything; a key that changes in its Secret changes at the servers."""
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    await cluster.put_secret("shop", {"realtime-key": "the-first-key-of-the-shop"})
    shop = {
        "name": "shop", "secretKeyRef": {"name": "shop", "key": "realtime-key"}, "methods": ["Publish"],
        "channels": ["chat:shop-*"],
    }  # fmt: skip
    await cluster.patch(api={"keys": [shop]})
    await cluster.wait_ready()
    own = await cluster.api()
    async with own, ServerApi(own.address, "the-first-key-of-the-shop") as limited:
        await limited.publish("chat:shop-1", 1)
        for call in (limited.publish("chat:lobby", 1), limited.call("history", channel="chat:shop-1")):
            with pytest.raises(ApiError) as caught:
                await call
            assert caught.value.status == 403
        await own.publish("chat:lobby", 1)
        await cluster.put_secret("shop", {"realtime-key": "the-second-key-of-the-shop"})

        async def refused() -> bool:
            try:
                await limited.publish("chat:shop-1", 2)
            except ApiError as error:
                return error.status == 401
            return False

        await eventually(refused, bool, what="the old key refused", within=90, every=0.5)
    async with ServerApi(own.address, "the-second-key-of-the-shop") as limited:
        await limited.publish("chat:shop-1", 3)
