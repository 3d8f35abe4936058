"""Scenarios of `kubectl realtime` on a real cluster, through the API server and with a user's KUBECONFIG."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, objects_at, parse, text_at
from tests.kit.kube import QUOTA, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import manifest
from tests.kit.traffic import finish, traffic

COMMAND_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Printed:
    """Output and exit code of a command."""

    code: int
    out: str
    stderr: str


async def kubectl_realtime(scenario: Scenario, *arguments: str) -> Printed:
    """Run the plugin as kubectl does: `kubectl realtime ...` with the plugin on the PATH."""
    access = scenario.kube.access
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        str(access.kubectl), "realtime", *arguments, "--namespace", scenario.kube.namespace,
        env={**os.environ, "PATH": programs, "KUBECONFIG": str(access.kubeconfig)},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(COMMAND_SECONDS):
        out, stderr = await process.communicate()
    assert process.returncode is not None
    return Printed(process.returncode, out.decode(), stderr.decode())


async def asked(scenario: Scenario, *arguments: str) -> str:
    """Return the output of a command, which must succeed."""
    printed = await kubectl_realtime(scenario, *arguments)
    assert printed.code == 0, printed
    return printed.out


async def test_what_is_can_be_seen(scenario: Scenario) -> None:
    """The commands status, get, describe, info and top show the cluster, its servers and its Events."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    names = {name_of(pod) for pod in await cluster.pods()}
    shown = await asked(scenario, "status")
    assert shown.startswith("main  Ready  on Kubernetes (context ")
    assert f"namespace {scenario.kube.namespace})" in shown
    assert all(name in shown for name in names)
    status = parse(await asked(scenario, "status", "main", "-o", "json"))
    assert status == object_at(await cluster.get(), "status")
    assert (await asked(scenario, "get", "-o", "name")).strip() == "realtimecluster.realtime.dev/main"
    assert "enough servers are available" in await asked(scenario, "describe")
    await eventually(
        lambda: asked(scenario, "info"),
        lambda out: all(name in out for name in names),
        what="every worker announced to the others",
        within=20,
    )
    measured = json.loads(await asked(scenario, "top", "--once", "-o", "json"))
    assert {entry["server"] for entry in measured} == names
    assert all(entry["memoryBytes"] > 0 for entry in measured)
    assert "worker listens" in await asked(scenario, "logs")


async def test_a_newcomer_sees_a_message_arrive(scenario: Scenario) -> None:
    """The commands publish, subscribe, history, presence, probe and doctor use the generated credentials."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    listening = asyncio.create_task(asked(scenario, "subscribe", "chat:lobby", "--count", "1", "-o", "json"))
    await eventually(
        lambda: asked(scenario, "presence", "chat:lobby"),
        lambda shown: "realtime-cli" in shown,
        what="presence",
        within=20,
    )
    assert "offset 1" in await asked(scenario, "publish", "chat:lobby", '{"text": "hello"}')
    assert parse(await listening) == {"channel": "chat:lobby", "offset": 1, "data": {"text": "hello"}}
    assert '{"text": "hello"}' in await asked(scenario, "history", "chat:lobby")
    probed = parse(await asked(scenario, "probe", "--count", "5", "-o", "json"))
    assert dig(probed, "lost") == 0
    assert len(objects_at(probed, "clients")) == 3, "through the endpoint and through each of two servers"
    examined = json.loads(await asked(scenario, "doctor", "-o", "json"))
    assert {finding["severity"] for finding in examined} == {"ok"}, examined
    assert {"CRD", "RBAC", "clock", "delivery"} <= {finding["check"] for finding in examined}


async def test_a_plan_says_what_then_happens(scenario: Scenario, tmp_path: Path) -> None:
    """The revision of `plan` is the one that is rolled out; a refused file or server has a reason."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    changed = manifest("main", replicas=1, server={"limits": {"messagesPerSecond": 200}})
    file = tmp_path / "main.yaml"
    file.write_text(yaml.safe_dump(changed))
    planned = parse(await asked(scenario, "plan", "-f", str(file), "-o", "json"))
    assert dig(planned, "isNewRevision") is True
    assert dig(planned, "podRefused") is None
    await scenario.kube.apply(QUOTA)
    await scenario.kube.kubectl("wait", "--for=jsonpath={.status.hard.pods}=1", "resourcequota/small", "--timeout=20s")
    beyond = await kubectl_realtime(scenario, "plan", "-f", str(file))
    assert (beyond.code, "exceeded quota: small" in beyond.out) == (1, True), beyond
    await scenario.kube.delete("resourcequotas", "small")
    await cluster.apply(changed)
    ready = await cluster.wait_ready()
    assert text_at(ready, "status", "currentRevision") == text_at(planned, "revision")
    again = await asked(scenario, "plan", "-f", str(file))
    assert again == "main is already as the file says: nothing would change\n"
    file.write_text(yaml.safe_dump(manifest("main", replicas=-1)))
    refused = await kubectl_realtime(scenario, "plan", "-f", str(file))
    assert refused.code == 2
    assert "spec.replicas" in refused.stderr


async def test_a_person_scales_pauses_restarts_and_drains_and_nothing_is_lost(scenario: Scenario) -> None:
    """Each is one command that waits; subscribers see every publication once."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    async with traffic(cluster) as running:
        await asked(scenario, "scale", "2")
        await asked(scenario, "rollout", "status")
        await asked(scenario, "rollout", "pause")
        await cluster.wait(lambda o: dig(o, "status", "phase") == "Paused", what="Paused")
        await asked(scenario, "rollout", "resume")
        await cluster.wait_ready()
        leaving = name_of((await cluster.available())[0])
        await asked(scenario, "drain", leaving)
        await cluster.wait(
            lambda o: all(text_at(one, "name") != leaving for one in objects_at(o, "status", "servers")),
            what="a status without the server, whose pod is gone",
        )
        ready = await cluster.wait_ready()
        before = text_at(ready, "status", "currentRevision")
        await asked(scenario, "rollout", "restart")
        await cluster.wait(lambda o: text_at(o, "status", "targetRevision") != before, what="a new revision")
        await asked(scenario, "rollout", "status")
        result = await finish(running)
        assert result.exact, result.describe()
        assert {event.code for event in running.lost_connections()} == {3011}


async def test_what_is_not_there_is_named(scenario: Scenario) -> None:
    """The exit code is right, with advice and without a stack trace."""
    missing = await kubectl_realtime(scenario, "status")
    assert missing.code == 2
    assert "has no RealtimeCluster" in missing.stderr
    await scenario.cluster().apply(manifest("main", replicas=0))
    other = await kubectl_realtime(scenario, "status", "other")
    assert (other.code, other.out) == (2, "")
    assert "has no cluster other, but main" in other.stderr
