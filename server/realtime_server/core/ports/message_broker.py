"""Ports of core for message brokers, like RabbitMQ: messages of backends that become commands of the server API.

Not to be confused with the broker of the backplane, which connects the servers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from realtime_server.codes import ErrorCode
from realtime_server.core.ports.api import Message


class MessageBrokerError(Exception):
    """Failure to reach the message broker, or a refusal by it; the text has no secret."""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """Message of a queue.

    `headers` are those with a text, a number or a boolean, as text. `content_type` and `message_id` are "" when the
    publisher set none. `returns` is how often the message was delivered before and came back without an answer, 0 where
    the queue does not count it.
    """

    body: bytes
    routing_key: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    message_id: str = ""
    content_type: str = ""
    returns: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason why a message cannot be carried out: an error of the catalogue, and what is wrong with the message."""

    error: ErrorCode
    why: str = ""

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.error.message}: {self.why}" if self.why else self.error.message


class Delivery(Protocol):
    """Message that a queue has delivered, and that it keeps until one of the methods has returned.

    Both raise MessageBrokerError when the link is lost: the queue then delivers the message again.
    """

    @property
    def message(self) -> QueuedMessage:
        """The message."""

    async def accept(self) -> None:
        """Remove the message from the queue."""

    async def dead_letter(self, refusal: Refusal) -> None:
        """Move the message to where those go that cannot be carried out, and return when it is there.

        Without such a place it is rejected, and the queue's own settings decide.
        """


DeliveryHandler: TypeAlias = Callable[[Delivery], Awaitable[None]]
"""Handler of deliveries, each in a task of its own, which begin in the order of the queue.

The tasks are cancelled when the link is lost or closed. A handler must not raise anything else than MessageBrokerError.
"""


class QueueLink(Protocol):
    """Link to a queue that delivers its messages until it is closed or lost; unanswered ones go back to the queue."""

    async def wait_lost(self) -> str:
        """Wait until the link is lost, and return the reason."""

    async def depth(self) -> int:
        """Return the number of messages that wait in the queue. Raises MessageBrokerError."""

    async def close(self) -> None:
        """Close the link and cancel all handlers. Idempotent; raises nothing."""


class MessageQueue(Protocol):
    """Queue of a message broker."""

    async def open(self, handler: DeliveryHandler) -> QueueLink:
        """Connect and consume. Raises MessageBrokerError."""


@dataclass(frozen=True, slots=True)
class PublishCommand:
    """Publication of a message in channels, of which there is at least one."""

    channels: tuple[str, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class ApiCommand:
    """Call of a method of the server API, with the request as JSON. It is about `subjects`: channels and users."""

    method: str
    request: bytes
    subjects: tuple[str, ...] = ()


QueuedCommand: TypeAlias = PublishCommand | ApiCommand
"""Command that a message means."""


class CommandExecutor(Protocol):
    """Executor of commands from queues."""

    async def execute(self, command: QueuedCommand) -> None:
        """Carry out a command, and return when the backplane has taken it.

        Raises CommandError, or BackplaneError after which some or all of it may have been done.
        """
