"""Backends that emit over Redis with the packages that they use: Node.js in a process, python-socketio in this one."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.child_program import end_program

PROGRAM = Path(__file__).parent / "sdk" / "emitter.mjs"
CALL_SECONDS = 10


class NodeEmitter:
    """Backend in Node.js, of one of the kinds of emitter.mjs; several `urls` are those of a Redis Cluster."""

    def __init__(self, kind: str, urls: Sequence[str], **options: JsonValue) -> None:
        self._argument = json.dumps({"kind": kind, "urls": [*urls], "options": options})
        self._numbers = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start the program; return when it is connected to Redis."""
        node = shutil.which("node")
        assert node is not None
        self._process = await asyncio.create_subprocess_exec(
            node, str(PROGRAM), self._argument, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        await self._answered(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the program."""
        assert self._process is not None
        await end_program(self._process)

    async def emit(
        self,
        event: str,
        *args: JsonValue,
        namespace: str = "/",
        to: Sequence[str] = (),
        excluded: Sequence[str] = (),
        volatile: bool = False,
    ) -> None:
        """Emit an event to rooms, or to all; return when Redis has it."""
        await self._call("emit", args, namespace, to, excluded, event=event, volatile=volatile)

    async def do(
        self, what: str, *args: JsonValue, namespace: str = "/", to: Sequence[str] = (), excluded: Sequence[str] = ()
    ) -> None:
        """Make another call of emitter.mjs; return when Redis has it."""
        await self._call(what, args, namespace, to, excluded)

    async def _call(
        self,
        what: str,
        args: Sequence[JsonValue],
        namespace: str,
        to: Sequence[str],
        excluded: Sequence[str],
        **fields: JsonValue,
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        number = next(self._numbers)
        target: JsonObject = {"namespace": namespace, "to": [*to], "except": [*excluded]}
        call: JsonObject = {"id": number, "do": what, "args": [*args], **target, **fields}
        process.stdin.write(json.dumps(call).encode() + b"\n")
        await self._answered(number)

    async def _answered(self, number: int) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(CALL_SECONDS):
            answer = await self._process.stdout.readline()
        assert json.loads(answer) == {"id": number}, answer
