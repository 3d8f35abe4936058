"""Agreement of the server's answers with its OpenAPI document."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.document import dig, object_at, parse
from tests.kit.raw_client import raw_client
from tests.kit.redis_process import running_redis
from tests.kit.server_process import API_KEY, TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

KEPT: JsonObject = {"history": {"size": 10, "ttl_seconds": 60}}
NAMESPACES: list[JsonValue] = [
    {"name": "chat", **KEPT, "recovery": True, "presence": True, "publish": "anyone"},
    {"name": "prices", **KEPT},
    {"name": "team", **KEPT, "recovery": True},
    {"name": "user", **KEPT},
    {"name": "frames"},
    {"name": "feed"},
]
PROTOCOLS: JsonObject = {
    "socket_io": {"enabled": True, "namespaces": [{"name": "/"}, {"name": "/chat", "channel_namespace": "chat"}]}
}
SHOP_KEY = "key-of-the-shop"
BODY_BYTES = 8 * 1024 * 1024


@dataclass
class Api:
    """Server with a client of alice in chat:lobby, and its document; `seen` has the checked answers."""

    address: str
    document: JsonObject
    session: aiohttp.ClientSession
    seen: set[tuple[str, int, str]] = field(default_factory=set)

    @property
    def methods(self) -> list[str]:
        """Return the methods in the document."""
        paths = object_at(self.document, "paths")
        return [path.removeprefix("/api/") for path in paths if "post" in object_at(paths, path)]

    async def call(
        self, method: str, body: JsonValue | bytes, key: str = API_KEY, header: str = "X-API-Key"
    ) -> JsonValue:
        """Send a call, and check the answer against the document."""
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        async with self.session.post(f"{self.address}/api/{method}", data=data, headers={header: key}) as response:
            answer = json.loads(await response.read())
            self._check(method, response.status, answer)
            return answer  # type: ignore[no-any-return] # JSON

    def _check(self, method: str, status: int, answer: JsonValue) -> None:
        responses = object_at(self.document, "paths", f"/api/{method}", "post", "responses")
        found = object_at(responses, str(status))
        if "$ref" in found:
            found = object_at(self.document, *str(found["$ref"]).removeprefix("#/").split("/"))
        schema = object_at(found, "content", "application/json", "schema")
        Draft202012Validator({**schema, "components": self.document["components"]}).validate(answer)
        code = dig(answer, "error", "code") if isinstance(answer, dict) else None
        self.seen.add((method, status, "ok" if code is None else str(code)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """Start a server with the namespaces of the examples, and a restricted key."""
    folder: Path = tmp_path_factory.mktemp("keys")
    (folder / "all").write_text(API_KEY)
    (folder / "shop").write_text(SHOP_KEY)
    shop: JsonObject = {
        "name": "shop", "file": str(folder / "shop"), "methods": ["publish"], "channels": ["chat:*"],
        "calls_per_second": 2,
    }  # fmt: skip
    keys: JsonObject = {"key_file": str(folder / "all"), "keys": [shop]}
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis())
        process = ServerProcess("documented", redis, namespaces=NAMESPACES, api=keys, protocols=PROTOCOLS)
        server = await stack.enter_async_context(process)
        client = await stack.enter_async_context(raw_client(server.url))
        token = connection_token(TOKEN_SECRET, "alice", info={"name": "Alice"})
        await client.command(id=1, connect={"token": token})
        await client.subscribe("chat:lobby")
        await client.command(id=3, publish={"channel": "chat:lobby", "data": {"by": "a client"}})
        session = await stack.enter_async_context(aiohttp.ClientSession())
        address = f"http://127.0.0.1:{server.api_port}"
        async with session.get(f"{address}/api/openapi.json") as response:
            document = parse(await response.read())
        yield Api(address, document, session)


def shape(answer: JsonValue) -> JsonValue:
    """Return the names in an answer, without values that differ between calls."""
    if isinstance(answer, dict):
        return {name: shape(value) for name, value in answer.items() if name in {"result", "error", "replies", "code"}}
    if isinstance(answer, list):
        return [shape(value) for value in answer]
    return answer


@pytest.mark.asyncio(loop_scope="module")
async def test_every_example_is_answered_as_it_says(api: Api) -> None:
    """Each method has an example; they run in order, so that the client is disconnected late."""
    last = ("disconnect", "refresh")
    for method in sorted(api.methods, key=lambda name: (name in last, name)):
        operation = object_at(api.document, "paths", f"/api/{method}", "post")
        calls = object_at(operation, "requestBody", "content", "application/json", "examples")
        answers = object_at(operation, "responses", "200", "content", "application/json", "examples")
        assert calls
        for name in calls:
            answer = await api.call(method, object_at(calls, name)["value"])
            documented = object_at(answers, name)["value"]
            if dig(documented, "error") or dig(answer, "error"):
                # A position of another epoch is one that the caller of an example has.
                assert shape(answer) == shape(documented) or dig(answer, "error", "code") == 112, (method, name)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        ("publish", {"channel": "nowhere:a", "data": 1}, 102),
        ("publish", {"channel": "chat:a", "data": "x" * 600_000}, 106),
        ("publish", {"channel": "chat:a"}, 107),
        ("publish", {"channel": "chat:a", "data": 1, "unknown": 1}, 107),
        ("history", {"channel": "feed:a"}, 108),
        ("history", {"channel": "chat:lobby", "since": {"offset": 1, "epoch": "other"}}, 112),
        ("subscribe", {"user": "alice", "channel": "chat:a", "b64info": "ew=="}, 107),
        ("refresh", {"user": "alice", "expire_at": 10**400}, 107),
        ("batch", {"commands": [{"nothing": {}}, {}, {"history": {"channel": "chat:lobby", "limit": -1}}]}, None),
        ("broadcast", {"channels": ["chat:a", "", "nowhere:a"], "data": None}, None),
        ("presence", {"channel": "chat:lobby"}, None),
        ("history", {"channel": "chat:lobby", "limit": -1, "reverse": True}, None),
    ],
    ids=str,
)  # fmt: skip
async def test_failures_are_those_that_it_says(api: Api, method: str, body: JsonObject, code: int | None) -> None:
    """The document lists the error codes."""
    answer = await api.call(method, body)
    assert (dig(answer, "error", "code") if isinstance(answer, dict) else 0) == code


@pytest.mark.asyncio(loop_scope="module")
async def test_refusals_are_those_that_it_says(api: Api) -> None:
    """The document lists 400, 401, 403, 413 and 429 for every method that can have them."""
    for method in api.methods:
        await api.call(method, b"{")
        await api.call(method, {}, key="wrong")
        await api.call(method, b" " * (BODY_BYTES + 1))
        assert {status for name, status, _ in api.seen if name == method} >= {400, 401, 413}
    await api.call("publish", {"channel": "feed:a", "data": 1}, SHOP_KEY)
    for _ in range(3):
        await api.call("publish", {"channel": "chat:a", "data": 1}, f"apikey {SHOP_KEY}", "Authorization")
    assert {("publish", 403, "103"), ("publish", 429, "429"), ("publish", 200, "ok")} <= api.seen
