"""Single commands to a Redis, a sentinel or a node of a cluster, with raw answers."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import hiredis
from redis.exceptions import ResponseError

ANSWER_SECONDS = 6.0

Answer: TypeAlias = "bytes | int | list[Answer] | None"


@dataclass(frozen=True, slots=True)
class TrustedHost:
    """Host name that must be in the certificate of a Redis, and the file of the authority that must have issued it."""

    name: str
    authority: Path

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """Speak TLS; raises ssl.SSLError for another certificate."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context.wrap_socket(connection, server_hostname=self.name)


def ask(
    address: tuple[str, int], password: str, *words: str | int | bytes, trusted: TrustedHost | None = None
) -> Answer:
    """Authenticate if there is a password, and send a command. Raises OSError and redis.ResponseError."""
    commands = [("AUTH", password), words] if password else [words]
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(address, timeout=ANSWER_SECONDS))
        if trusted is not None:
            connection = stack.enter_context(trusted.wrap(connection))
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
