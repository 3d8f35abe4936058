"""What is wrong with a spec is told where the user looks, and never changes what runs."""

from __future__ import annotations

import asyncio

from realtime_operator import naming
from tests.e2e.conftest import Scenario
from tests.kit.deadline import stays
from tests.kit.document import text_at
from tests.kit.kube import condition, has_condition, name_of
from tests.kit.live_cluster import manifest
from tests.kit.refusals import REFUSALS, Refusal


async def test_a_wrong_spec_is_refused_with_a_clear_message(scenario: Scenario) -> None:
    """Kubectl apply is refused, with the field and a sentence that says what would be right; nothing is stored."""
    answers = await asyncio.gather(*(_answer(scenario, refusal) for refusal in REFUSALS))
    wrong = [(refusal.path, answer) for refusal, answer in zip(REFUSALS, answers, strict=True) if answer]
    assert wrong == []
    assert await scenario.kube.list(naming.PLURAL) == []


async def _answer(scenario: Scenario, refusal: Refusal) -> str:
    """Return what is wrong with the API server's answer: empty when it refuses, and says why."""
    answer = await scenario.kube.create(naming.PLURAL, refusal.document)
    if answer is None:
        return "accepted"
    return "" if refusal.is_said_in(answer) else answer


async def test_what_the_schema_cannot_say_is_told_and_changes_nothing(scenario: Scenario) -> None:
    """A token secret that does not exist: Accepted=False with its name; no pod is touched; creating it heals."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    pods = {text_at(pod, "metadata", "uid") for pod in await cluster.pods()}
    children = await cluster.children()
    await cluster.patch(
        auth={"tokens": [{"secretRef": {"name": "signing-keys", "key": "current"}}]},
        server={"limits": {"messagesPerSecond": 200}},
    )
    refused = await cluster.wait(lambda o: has_condition(o, "Accepted", "False"), what="Accepted=False", within=15)
    accepted = condition(refused, "Accepted")
    assert accepted["reason"] == "SecretNotFound"
    assert "spec.auth.tokens[0].secretRef" in text_at(accepted, "message")
    assert "signing-keys" in text_at(accepted, "message")
    await stays(cluster.children, lambda now: now == children, what="the same children", during=2)
    assert {text_at(pod, "metadata", "uid") for pod in await cluster.pods()} == pods
    await scenario.kube.kubectl("create", "secret", "generic", "signing-keys", "--from-literal=current=" + "s" * 40)
    ready = await cluster.wait_ready()
    assert has_condition(ready, "Accepted")
    assert pods.isdisjoint({text_at(pod, "metadata", "uid") for pod in await cluster.available()})


async def test_the_refusal_is_an_event_of_the_cluster(scenario: Scenario) -> None:
    """`kubectl describe rtc` shows the reason, once."""
    cluster = scenario.cluster("refused")
    await cluster.apply(manifest("refused", api={"keySecretRef": {"name": "none-such", "key": "key"}}))
    await cluster.wait(lambda o: has_condition(o, "Accepted", "False"), what="Accepted=False", within=15)
    assert await cluster.pods() == []
    described = await scenario.kube.kubectl("describe", "rtc", "refused")
    assert "none-such" in described
    events = [
        event
        for event in await scenario.kube.list("events")
        if text_at(event, "involvedObject", "name") == "refused" and "none-such" in text_at(event, "message")
    ]
    assert len(events) == 1, [name_of(event) for event in events]
    assert text_at(events[0], "type") == "Warning"
