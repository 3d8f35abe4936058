"""Single commands to a Redis, a sentinel or a node of a cluster, with raw answers."""

from __future__ import annotations

import socket
from typing import TypeAlias

import hiredis
from redis.exceptions import ResponseError

ANSWER_SECONDS = 6.0

Answer: TypeAlias = "bytes | int | list[Answer] | None"


def ask(address: tuple[str, int], password: str, *words: str | int | bytes) -> Answer:
    """Authenticate if there is a password, and send a command. Raises OSError and redis.ResponseError."""
    commands = [("AUTH", password), words] if password else [words]
    with socket.create_connection(address, timeout=ANSWER_SECONDS) as connection:
        reader = hiredis.Reader(replyError=ResponseError)
        answers = []
        for command in commands:
            connection.sendall(hiredis.pack_command(command))  # type: ignore[arg-type] # its stub knows one word only
            answers.append(_read(connection, reader))
    return answers[-1]


def _read(connection: socket.socket, reader: hiredis.Reader) -> Answer:
    while True:
        answer: Answer | ResponseError | bool = reader.gets()
        if isinstance(answer, ResponseError):
            raise answer
        if not isinstance(answer, bool):
            return answer
        received = connection.recv(65_536)
        if not received:
            raise ConnectionError("closed before it answered")
        reader.feed(received)


def texts(answer: Answer) -> list[str]:
    """Return a list of strings, or a string as a list."""
    if isinstance(answer, list):
        return [part.decode() if isinstance(part, bytes) else str(part) for part in answer]
    assert isinstance(answer, bytes)
    return [answer.decode()]


def fields(answer: Answer) -> dict[str, str]:
    """Parse an answer of lines `name:value` (INFO), or of alternating names and values."""
    if isinstance(answer, bytes):
        lines = (line.partition(":") for line in answer.decode().splitlines())
        return {name: value for name, colon, value in lines if colon}
    words = iter(texts(answer))
    return dict(zip(words, words, strict=True))
