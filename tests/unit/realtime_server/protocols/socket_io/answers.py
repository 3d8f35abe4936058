"""Answers of the reference server, recorded by tests/fixtures/socket_io/record_answers.cjs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from realtime_server.protocols.socket_io.engine_requests import Answer

FILE = Path(__file__).parents[4] / "fixtures" / "socket_io" / "answers.json"


class RecordedAnswer(msgspec.Struct, frozen=True):
    """Answer to a request; `error` where the connection was broken."""

    status: int = 0
    type: str = ""
    body: str = ""
    error: str = ""

    def answer(self) -> Answer:
        """Return it as one of ours."""
        return Answer(self.status, self.body.encode(), self.type)


class Recorded(msgspec.Struct):
    """One request, or a story of several, with the reason for which the session was closed, "" if it was not."""

    name: str
    method: str = "GET"
    query: str = ""
    headers: dict[str, str] = {}
    body: str = ""
    answer: RecordedAnswer = RecordedAnswer()
    answers: list[RecordedAnswer] = []
    closed: str = ""


class _Document(msgspec.Struct):
    version: str
    answers: list[Recorded]


RECORDED = {one.name: one for one in msgspec.json.decode(FILE.read_bytes(), type=_Document).answers}
