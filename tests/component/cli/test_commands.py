"""Each command against a platform that `realtime up` runs here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, objects_at, parse, text_at
from tests.kit.realtime_command import RealtimeUp, call, realtime, running
from tests.kit.socket_io import PythonSocketIo, SocketOptions

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLUSTER = """\
apiVersion: realtime.dev/v1alpha1
kind: RealtimeCluster
metadata: {name: chat}
spec:
  replicas: 2
  namespaces:
    - name: chat
      history: {size: 100, ttl: 10m}
      recovery: Stream
      presence: true
  protocols:
    socketIO: {mode: Enabled, namespaces: [{name: /}, {name: /chat, channelNamespace: chat}]}
  rollout: {maxSurge: 1, drain: {settle: 1s}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up() -> AsyncIterator[RealtimeUp]:
    """Start a platform for all tests of this module."""
    async with running(CLUSTER) as started:
        yield started


async def test_status_shows_the_servers(up: RealtimeUp) -> None:
    """Output is a table, or complete as JSON or YAML."""
    shown = await up.answer("status")
    status = parse(await up.answer("status", "chat", "-o", "json"))
    assert shown.startswith("chat  Ready  on this machine (process ")
    names = [text_at(server, "name") for server in objects_at(status, "servers")]
    assert len(names) == 2
    assert all(name in shown for name in names)
    assert dig(status, "endpoints", "client") == f"ws://127.0.0.1:{up.port}/connection/websocket"
    assert "phase: Ready" in await up.answer("status", "-o", "yaml")


async def test_get_and_describe(up: RealtimeUp) -> None:
    """`get` shows the list, one object or its name; `describe` shows the events."""
    assert (await up.answer("get")).splitlines()[0].split()[:3] == ["NAME", "PHASE", "READY"]
    assert dig(parse(await up.answer("get", "chat", "-o", "json")), "metadata", "name") == "chat"
    assert await up.answer("get", "-o", "name") == "realtimecluster.realtime.dev/chat\n"
    assert "ServersAvailable" in await up.answer("describe")


async def test_a_message_arrives_with_two_commands(up: RealtimeUp) -> None:
    """`subscribe` prints what `publish` sends; presence shows the subscriber, and history the message."""
    listening = asyncio.create_task(up.ask_apart("subscribe", "chat:lobby", "--count", "1", "-o", "json"))
    await eventually(
        lambda: up.answer("presence", "chat:lobby"), lambda out: "realtime-cli" in out, what="presence", within=20
    )
    assert await up.answer("publish", "chat:lobby", '{"text": "hello"}') == "published to chat:lobby with offset 1\n"
    assert parse((await listening).out) == {"channel": "chat:lobby", "offset": 1, "data": {"text": "hello"}}
    assert '{"text": "hello"}' in await up.answer("history", "chat:lobby", "--limit", "5")
    page = parse(await up.answer("history", "chat:lobby", "-o", "json"))
    assert len(objects_at(page, "publications")) == 1


async def test_an_event_reaches_clients_of_socket_io(up: RealtimeUp) -> None:
    """`sockets` shows who is connected, `emit` who has acknowledged."""
    token = (await up.answer("token", "--user", "ann", "--channels", "chat:lobby")).strip()
    options = SocketOptions("/chat", {"token": token})
    async with PythonSocketIo(f"http://127.0.0.1:{up.port}", ["websocket"], [options]) as client:
        [record] = client.records
        await record.connected()
        shown = await up.answer("sockets", "--of", "/chat")
        assert shown.splitlines()[1].split() == [record.ids[0], "ann", "websocket", "lobby"]
        to = ("--of", "/chat", "--room", "lobby")
        assert await up.answer("emit", "greet", '"Ann"', *to) == "sent greet to /chat\n"
        acknowledged = await up.answer("emit", "ask", "[1]", *to, "--ack", "5")
        assert acknowledged.splitlines()[1].split(maxsplit=1) == [record.ids[0], "[[1]]"]
        await record.got(("greet", ["Ann"]), ("ask", [[1]]))
        left_out = await up.answer("emit", "greet", *to, "--except", record.ids[0], "--ack", "1", "-o", "json")
        assert parse(left_out) == {"acks": [], "unanswered": [], "complete": True}
    refused = await up.ask("sockets", "--of", "/none")
    assert (refused.code, "/chat" in refused.stderr) == (2, True)


async def test_what_is_published_must_be_json(up: RealtimeUp) -> None:
    """Text without quotes is refused with the corrected command line."""
    refused = await up.ask("publish", "chat:lobby", "it's me")
    assert refused.code == 2
    assert """write '"it'"'"'s me"'""" in refused.stderr


@pytest.mark.parametrize("command", [("publish", "news:a", "1"), ("history", "news:a"), ("presence", "news:a")])
async def test_an_unknown_namespace_is_explained(up: RealtimeUp, command: tuple[str, ...]) -> None:
    """The message has the server's code and reason, and where to look."""
    refused = await up.ask(*command)
    assert refused.code == 2
    assert "102: unknown channel" in refused.stderr
    assert "spec.namespaces" in refused.stderr


async def test_a_subscription_that_is_refused_is_explained(up: RealtimeUp) -> None:
    """The message has the server's code and reason."""
    refused = await up.ask("subscribe", "news:a", "--count", "1")
    assert refused.code == 2
    assert "no subscription to news:a: 102" in refused.stderr


async def test_tokens_are_accepted(up: RealtimeUp) -> None:
    """A token connects as its user with its channels; an invalid duration is refused."""
    token = (await up.answer("token", "--user", "alice", "--channels", "chat:a,chat:b", "--ttl", "5m")).strip()
    assert token.count(".") == 2
    refused = await up.ask("token", "--user", "alice", "--ttl", "5 minutes")
    assert (refused.code, refused.out) == (2, "")
    assert "write it like 30m" in refused.stderr


async def test_probe_and_doctor_find_all_well(up: RealtimeUp) -> None:
    """Messages arrive through every server, and no check fails."""
    probed = parse(await up.answer("probe", "--count", "5", "-o", "json"))
    assert (dig(probed, "lost"), len(objects_at(probed, "clients"))) == (0, 2)
    findings = json.loads(await up.answer("doctor", "-o", "json"))
    assert {finding["severity"] for finding in findings} == {"ok"}, findings


async def test_info_top_and_logs(up: RealtimeUp) -> None:
    """There is one line per server; `top` shows CPU and memory."""
    names = {text_at(s, "name") for s in objects_at(parse(await up.answer("status", "-o", "json")), "servers")}
    await eventually(
        lambda: up.answer("info", "-o", "json"),
        lambda out: {text_at(node, "name") for node in objects_at(parse(out), "nodes")} == names,
        what="every worker announced to the others",
        within=10,
    )
    measured = json.loads(await up.answer("top", "--once", "--interval", "0.2", "-o", "json"))
    assert {entry["server"] for entry in measured} == names
    assert all(entry["memoryBytes"] > 1_000_000 for entry in measured)
    assert (await up.answer("logs", "--lines", "100")).count("worker listens") == 2


async def test_scaling_is_followed(up: RealtimeUp) -> None:
    """The command waits for scaling in both directions; a file with another number is shown as a plan."""
    assert await up.answer("scale", "3") == "chat: 2 -> 3 servers\n"
    assert "nothing is being replaced" in await up.answer("rollout", "status")
    planned = parse(await up.answer("plan", "-f", str(up.file), "-o", "json"))
    assert (dig(planned, "serversBefore"), dig(planned, "serversAfter")) == (3, 2)
    await up.answer("scale", "2")
    await up.answer("rollout", "status")

    async def servers() -> int:
        return len(objects_at(parse(await up.answer("status", "-o", "json")), "servers"))

    # the rollout is over when the third server leaves; its process may still end
    await eventually(servers, lambda count: count == 2, what="two servers", within=20)


async def test_a_drained_server_is_replaced(up: RealtimeUp) -> None:
    """A server is named by the end of its name, and another one replaces it."""
    before = parse(await up.answer("status", "-o", "json"))
    leaving = text_at(objects_at(before, "servers")[0], "name")
    assert f"server {leaving} is gone" in await up.answer("drain", leaving[-5:])
    await up.answer("rollout", "status")
    after = [text_at(s, "name") for s in objects_at(parse(await up.answer("status", "-o", "json")), "servers")]
    assert leaving not in after
    assert len(after) == 2


async def test_shedding_moves_connections(up: RealtimeUp) -> None:
    """The named server keeps serving; an unknown name is refused with the existing ones."""
    servers = objects_at(parse(await up.answer("status", "-o", "json")), "servers")
    name = text_at(servers[0], "name")
    assert "10 connections move" in await up.answer("shed", name, "10", "--rate", "5")
    refused = await up.ask("shed", "nobody", "10")
    assert refused.code == 2
    assert name in refused.stderr


async def test_pause_resume_restart(up: RealtimeUp) -> None:
    """A paused cluster shows its state; a restart makes a new revision."""
    before = text_at(parse(await up.answer("status", "-o", "json")), "currentRevision")
    await up.answer("rollout", "pause")
    await eventually(lambda: up.answer("get"), lambda out: "Paused" in out, what="Paused", within=10)
    assert (await up.ask("rollout", "status", "--no-wait")).code == 1
    await up.answer("rollout", "resume")
    await up.answer("rollout", "restart")
    await eventually(
        lambda: up.answer("status", "-o", "json"),
        lambda out: text_at(parse(out), "targetRevision") != before,
        what="a new revision",
        within=10,
    )
    await up.answer("rollout", "status")


async def test_a_rollout_is_undone(up: RealtimeUp) -> None:
    """After a restart the history has both revisions, and `undo` returns to the former one."""
    history = json.loads(await up.answer("rollout", "history", "-o", "json"))
    assert len(history) == 2
    assert f"{history[0]['revision']}" in await up.answer("rollout", "history")
    assert await up.answer("rollout", "undo") == f"chat: goes back to revision {history[1]['revision']}\n"
    await eventually(
        lambda: up.answer("status", "-o", "json"),
        lambda out: text_at(parse(out), "currentRevision") == history[1]["revision"],
        what="the former revision",
        within=20,
    )
    refused = await up.ask("rollout", "undo", "--to", "nothing")
    assert refused.code == 2
    assert "has no revision nothing" in refused.stderr


async def test_a_refused_change_says_why(up: RealtimeUp) -> None:
    """The message is that of the API, with exit code 2, and nothing changes."""
    refused = await up.ask("scale", "1001")
    assert refused.code == 2
    refused = await up.ask("status", "other")
    assert refused.code == 2
    assert "has no cluster other, but chat" in refused.stderr


async def test_disconnect_closes_a_users_connections(up: RealtimeUp) -> None:
    """The subscriber prints the code and exits."""
    assert await up.answer("disconnect", "alice") == "alice: disconnected\n"


async def test_nothing_runs_is_said_with_what_to_do(tmp_path: Path) -> None:
    """The message has the command that starts a platform; with --platform kubernetes, what is missing there."""
    nothing = await realtime("status", "--state-dir", str(tmp_path), KUBECONFIG=str(tmp_path / "none"))
    assert nothing.code == 2
    assert "realtime up -f FILE" in nothing.stderr
    local = await realtime("status", "--state-dir", str(tmp_path), "--platform", "local")
    assert local.code == 2
    elsewhere = await realtime("status", "--platform", "kubernetes", KUBECONFIG=str(tmp_path / "none"))
    assert elsewhere.code == 1
    assert "there is no KUBECONFIG" in elsewhere.stderr


async def test_init_writes_a_file_that_is_accepted(up: RealtimeUp, tmp_path: Path) -> None:
    """`plan` accepts the file; an invalid cluster name is refused."""
    file = tmp_path / "first.yaml"
    file.write_text((await realtime("init", "first")).out)
    planned = parse(await up.answer("plan", "-f", str(file), "-o", "json"))
    assert object_at(planned)["cluster"] == "first"
    refused = await realtime("init", "Not_A_Name")
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.parametrize("command", ["up", "status", "plan", "publish", "probe", "doctor", "top", "rollout status"])
async def test_help_shows_examples(command: str) -> None:
    helped = call(*command.split(), "--help")
    assert helped.code == 0
    assert f"  realtime {command}" in helped.out


async def test_a_misspelt_command_is_an_error() -> None:
    """The exit code is that of wrong usage; `--version` works."""
    assert (await realtime("statsu")).code == 2
    assert (await realtime("--version")).out.strip().count(".") == 2
