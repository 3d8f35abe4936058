"""Asks: requests of one worker that another one answers, over the backplane's control channel.

A request of a client may reach any worker of the cluster, and must be answered by the one that holds its session.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from realtime_server.core.control import messages
from realtime_server.core.control.messages import AskOutcome
from realtime_server.core.control.peers import Peers
from realtime_server.core.model.errors import (
    AskFailedError,
    BackplaneError,
    TooManyAsksError,
    UnknownNameError,
    UnknownNodeError,
)
from realtime_server.core.tasks import TaskGroup

MAX_ASKS = 20_000
"""Maximum number of open asks of one worker, and of those that it answers at the same time."""

RETRY_SECONDS = 0.5
"""Pause before an answer is sent again that could not be sent."""

LOST = "the answer may have been lost with the connection to the backplane"

AskHandler: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""Function that answers a request. It is cancelled when the asker has gone, and may run several times at once."""


@dataclass(slots=True)
class _Open:
    """Ask that waits for its answer from a worker."""

    node: str
    answer: asyncio.Future[bytes]


@dataclass(slots=True)
class _Served:
    """Ask of another worker; `lived`: that was known when it asked, `answered`: the answer has only to be sent."""

    worker: str
    lived: bool
    task: asyncio.Task[None]
    answered: bool = False


class Asks:
    """Asks of one worker, and its answers to those of others.

    `send` sends a message to the worker of that name. `answer_bytes` is the maximum size of an answer. `check` must be
    called every second or so, to find workers that have died.
    """

    def __init__(
        self,
        uid: str,
        peers: Peers,
        tasks: TaskGroup,
        *,
        send: Callable[[messages.Message, str], Awaitable[None]],
        answer_bytes: int,
        max_asks: int = MAX_ASKS,
    ) -> None:
        self._uid = uid
        self._peers = peers
        self._tasks = tasks
        self._send = send
        self.answer_bytes = answer_bytes
        self._max_asks = max_asks
        self._handlers: dict[str, AskHandler] = {}
        self._open: dict[str, _Open] = {}
        self._served: dict[str, _Served] = {}

    def take(self, message: messages.Ask | messages.WithdrawAsk | messages.Answer) -> None:
        """Handle a message of another worker; an answer that nobody waits for is ignored."""
        match message:
            case messages.Ask():
                self._take_ask(message)
            case messages.WithdrawAsk():
                self._take_withdrawal(message)
            case messages.Answer():
                self._take_answer(message)

    # asking

    async def ask(self, node: str, name: str, request: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109 - the other worker needs it
        """Return the answer of the handler of this name at a worker, `node`, within `timeout` seconds.

        Asks are not ordered. Raises UnknownNodeError when the worker is not alive or has died meanwhile,
        UnknownNameError, AskFailedError, TooManyAsksError, TimeoutError, and BackplaneError, also when the answer may
        have been lost. The handler is cancelled when the caller is, and after the timeout.
        """
        if node == self._uid:
            async with asyncio.timeout(timeout):
                return await self._answer(self._handler(name), request)
        if not self._peers.may_live(node):
            raise UnknownNodeError(node)
        self._require_room(len(self._open))
        ident = secrets.token_hex(8)
        opened = self._open[ident] = _Open(node, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(timeout):
                await self._send(messages.Ask(ident, self._uid, name, request, timeout), node)
                return await opened.answer
        finally:
            del self._open[ident]
            if not _has_outcome(opened.answer):
                self._tasks.spawn(self._try_to_send(messages.WithdrawAsk(ident), node), "withdraw-ask")

    def _take_answer(self, message: messages.Answer) -> None:
        opened = self._open.get(message.ident)
        if opened is None or opened.answer.done():
            return
        match message.outcome:
            case AskOutcome.ANSWERED:
                opened.answer.set_result(message.answer)
            case AskOutcome.UNKNOWN:
                opened.answer.set_exception(UnknownNameError())
            case AskOutcome.REFUSED:
                opened.answer.set_exception(TooManyAsksError())
            case AskOutcome.FAILED:
                opened.answer.set_exception(AskFailedError())
            case AskOutcome.LOST:
                opened.answer.set_exception(BackplaneError(LOST))

    def note_gap(self) -> None:
        """Handle a loss of the backplane, with which asks, answers and withdrawals may be lost: both ends give up.

        Answers that have only to be sent are kept.
        """
        for opened in self._open.values():
            _fail(opened, BackplaneError(LOST))
        for ident, served in self._served.items():
            if not served.answered:
                served.task.cancel()
                lost = messages.Answer(ident, AskOutcome.LOST)
                self._tasks.spawn(self._try_to_send(lost, served.worker), "lost-ask")

    def check(self) -> None:
        """Fail the asks to workers that have died, and cancel the answers to those that they have asked."""
        for opened in self._open.values():
            if not self._peers.may_live(opened.node):
                _fail(opened, UnknownNodeError(opened.node))
        for served in self._served.values():
            if served.lived and not self._peers.may_live(served.worker):
                served.task.cancel()

    # answering

    def serve(self, name: str, handler: AskHandler) -> None:
        """Answer asks for this name by a handler, instead of any other; see AskHandler."""
        self._handlers[name] = handler

    def end(self, name: str) -> None:
        """Answer no further asks for this name. Idempotent."""
        self._handlers.pop(name, None)

    def _take_ask(self, message: messages.Ask) -> None:
        if message.ident in self._served:
            return
        task = self._tasks.spawn(self._serve(message), f"ask-{message.ident}")
        self._served[message.ident] = _Served(message.worker, self._peers.may_live(message.worker), task)
        task.add_done_callback(lambda _task: self._served.pop(message.ident, None))

    def _take_withdrawal(self, message: messages.WithdrawAsk) -> None:
        served = self._served.get(message.ident)
        if served is not None:
            served.task.cancel()

    async def _serve(self, message: messages.Ask) -> None:
        """Answer an ask within its time limit, after which nobody waits for the answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(message.seconds):
                answer = await self._answer_to(message)
                self._served[message.ident].answered = True
                await self._deliver(answer, message.worker)

    async def _answer_to(self, message: messages.Ask) -> messages.Answer:
        try:
            self._require_room(len(self._served) - 1)
            answer = await self._answer(self._handler(message.name), message.request)
        except UnknownNameError:
            return messages.Answer(message.ident, AskOutcome.UNKNOWN)
        except TooManyAsksError:
            return messages.Answer(message.ident, AskOutcome.REFUSED)
        except AskFailedError:
            return messages.Answer(message.ident, AskOutcome.FAILED)
        return messages.Answer(message.ident, AskOutcome.ANSWERED, answer)

    async def _deliver(self, answer: messages.Answer, worker: str) -> None:
        """Send an answer, again and again while the backplane cannot be reached: it cannot be made a second time."""
        while True:
            try:
                await self._send(answer, worker)
            except BackplaneError:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    def _handler(self, name: str) -> AskHandler:
        handler = self._handlers.get(name)
        if handler is None:
            raise UnknownNameError
        return handler

    async def _answer(self, handler: AskHandler, request: bytes) -> bytes:
        """Return the answer of a handler. Raises AskFailedError, which has been reported."""
        try:
            answer = await handler(request)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler({"message": "an ask failed", "exception": error})
            raise AskFailedError from error
        if len(answer) > self.answer_bytes:
            why = f"an answer of {len(answer)} bytes to an ask exceeds the maximum of {self.answer_bytes}"
            asyncio.get_running_loop().call_exception_handler({"message": why})
            raise AskFailedError
        return answer

    def _require_room(self, count: int) -> None:
        if count >= self._max_asks:
            raise TooManyAsksError

    async def _try_to_send(self, message: messages.Message, worker: str) -> None:
        with contextlib.suppress(BackplaneError):
            await self._send(message, worker)


def _fail(opened: _Open, error: Exception) -> None:
    if not opened.answer.done():
        opened.answer.set_exception(error)


def _has_outcome(answer: asyncio.Future[bytes]) -> bool:
    """Return True when nothing remains to be done at the worker that was asked."""
    return answer.done() and not answer.cancelled() and not isinstance(answer.exception(), BackplaneError)
