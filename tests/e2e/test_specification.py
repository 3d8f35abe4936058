"""Scenarios of invalid specs: they are reported where users look, and change nothing."""

from __future__ import annotations

import asyncio

from realtime_operator import naming
from tests.kit.kube import has_condition
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.refusals import REFUSALS, Refusal
from tests.kit.running_cluster import manifest


async def test_a_wrong_spec_is_refused_with_a_clear_message(scenario: Scenario) -> None:
    """`kubectl apply` is refused with the field and what would be valid; nothing is stored."""
    answers = await asyncio.gather(*(_answer(scenario, refusal) for refusal in REFUSALS))
    wrong = [(refusal.path, answer) for refusal, answer in zip(REFUSALS, answers, strict=True) if answer]
    assert wrong == []
    assert await scenario.kube.list(naming.PLURAL) == []


async def _answer(scenario: Scenario, refusal: Refusal) -> str:
    """Return the deviation of the API server's answer; empty when it refuses with the expected message."""
    answer = await scenario.kube.create(naming.PLURAL, refusal.document)
    if answer is None:
        return "accepted"
    return "" if refusal.is_said_in(answer) else answer


async def test_the_refusal_is_an_event_of_the_cluster(scenario: Scenario) -> None:
    """`kubectl describe rtc` shows the reason."""
    cluster = scenario.cluster("refused")
    await cluster.apply(manifest("refused", api={"key": {"secretKeyRef": {"name": "none-such", "key": "key"}}}))
    await cluster.wait(lambda o: has_condition(o, "Accepted", "False"), what="Accepted=False", within=15)
    assert await cluster.pods() == []
    described = await scenario.kube.kubectl("describe", "rtc", "refused")
    assert "none-such" in described
