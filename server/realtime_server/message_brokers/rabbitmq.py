"""Driver of RabbitMQ: implements MessageQueue by AMQP 0-9-1.

aiormq is used without the robust channels of aio-pika. Those open a channel again by themselves, so that a message is
delivered anew while its handler still runs; here a lost link ends the handlers first, and QueueConsumer opens the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp.commands import Basic
from pamqp.common import FieldTable, FieldValue
from yarl import URL

from realtime_server.connect_errors import connect_error
from realtime_server.core.ports.message_broker import DeliveryHandler, MessageBrokerError, QueuedMessage, Refusal
from realtime_server.message_broker_settings import DeadLetter, RabbitMq
from realtime_server.message_brokers.lenient_decoding import UNREADABLE_HEADERS, decode_leniently
from realtime_server.settings import SecretFile

HEARTBEAT_SECONDS = 10
"""Asked of RabbitMQ unless the URL has another: after three without a sign of life the link is lost."""
HEARTBEATS = range(1, 601)
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 10.0
"""For a confirm of a publication, and for an answer about a queue."""
CLOSE_SECONDS = 2.0
REASON_HEADER = "x-realtime-reason"
CODE_HEADER = "x-realtime-code"
QUEUE_HEADER = "x-realtime-queue"
MAX_REASON = 1000
"""Characters of a reason in a header."""
RETURNS_HEADER = "x-delivery-count"
NOT_COPIED = frozenset({"CC", "BCC", UNREADABLE_HEADERS})
"""Headers by which a dead letter would also go elsewhere, or that the message never had."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """Queue to consume; `connection_name` is what RabbitMQ shows of the connection."""

    queue: str
    prefetch: int
    dead_letter: DeadLetter | None
    connection_name: str


class RabbitMqQueue:
    """Queue of a RabbitMQ; implements MessageQueue."""

    def __init__(self, broker: RabbitMq, options: QueueOptions) -> None:
        decode_leniently()
        logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)  # what it says is raised too
        self._broker = broker
        self._url = SecretFile(broker.url_file)
        self._options = options

    async def open(self, handler: DeliveryHandler) -> RabbitMqLink:
        """See MessageQueue."""
        url = parsed_url(self._url.read())
        name: FieldTable = {"connection_name": self._options.connection_name}
        link: RabbitMqLink | None = None
        try:
            with _failures("RabbitMQ cannot be reached"):
                context = self._context(url)
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await aiormq.connect(url, context=context, client_properties=name)
            link = RabbitMqLink(connection, self._options, handler)
            await link.begin()
        except BaseException:
            if link is not None:
                await link.close()
            raise
        return link

    def _context(self, url: URL) -> ssl.SSLContext | None:
        """Return the context of TLS. Raises MessageBrokerError for files that would not be used, OSError."""
        broker = self._broker
        if url.scheme == "amqp":
            if broker.ca_file is not None or broker.certificate_file is not None:
                raise MessageBrokerError("the URL of RabbitMQ must begin with amqps:// where there are certificates")
            return None
        context = ssl.create_default_context(cafile=broker.ca_file)
        if broker.certificate_file is not None:
            context.load_cert_chain(broker.certificate_file, broker.key_file)
        return context


def parsed_url(text: str) -> URL:
    """Return the URL of a RabbitMQ with a heartbeat. Raises MessageBrokerError, without the text: it has a password."""
    if not text:
        raise MessageBrokerError("the file with the URL of RabbitMQ is not there or empty")
    advice = "the URL of RabbitMQ is not one: write amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS"
    try:
        url = URL(text)
        heartbeat = int(url.query.get("heartbeat", HEARTBEAT_SECONDS))
    except ValueError:
        raise MessageBrokerError(advice) from None  # its text may contain the URL
    if url.scheme not in {"amqp", "amqps"} or not url.host or heartbeat not in HEARTBEATS:
        raise MessageBrokerError(advice)
    return url.with_query(heartbeat=heartbeat)


class RabbitMqLink:
    """Connection with a channel that consumes and one that publishes dead letters; implements QueueLink."""

    def __init__(self, connection: AbstractConnection, options: QueueOptions, handler: DeliveryHandler) -> None:
        self._connection = connection
        self._options = options
        self._handler = handler
        self._consuming: AbstractChannel | None = None
        self._publishing: AbstractChannel | None = None
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._publish_lock = asyncio.Lock()

    async def begin(self) -> None:
        """Begin to consume. Raises MessageBrokerError."""
        with _failures(f"{self._options.queue} cannot be consumed"):
            async with asyncio.timeout(ANSWER_SECONDS):
                channel = self._consuming = await self._connection.channel(publisher_confirms=False)
                channel.on_consumer_cancel_callbacks.add(self._on_cancel)
                await channel.basic_qos(prefetch_count=self._options.prefetch)
                for closing in (self._connection.closing, channel.closing):
                    closing.add_done_callback(self._on_closing)
                await channel.basic_consume(self._options.queue, self._on_message)

    async def wait_lost(self) -> str:
        """See QueueLink."""
        return await asyncio.shield(self._lost)

    async def depth(self) -> int:
        """See QueueLink."""
        with _failures(f"{self._options.queue} cannot be looked at"):
            async with asyncio.timeout(ANSWER_SECONDS), self._publish_lock:
                channel = await self._publisher()
                return (await channel.queue_declare(self._options.queue, passive=True)).message_count or 0

    async def close(self) -> None:
        """See QueueLink. What was answered is sent before."""
        for closable in (self._consuming, self._connection):
            if closable is not None:
                with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await closable.close()

    async def accept(self, delivery_tag: int) -> None:
        """Answer that a message was carried out. Raises MessageBrokerError."""
        assert self._consuming is not None
        with _failures("the message cannot be answered"):
            await self._consuming.basic_ack(delivery_tag, wait=False)

    async def dead_letter(self, message: DeliveredMessage, delivery_tag: int, refusal: Refusal) -> None:
        """Publish a message to the exchange of dead letters, then remove it. Raises MessageBrokerError."""
        assert self._consuming is not None
        target = self._options.dead_letter
        if target is None:
            with _failures("the message cannot be rejected"):
                await self._consuming.basic_reject(delivery_tag, requeue=False, wait=False)
            return
        routing_key = message.routing_key or "" if target.routing_key is None else target.routing_key
        with _failures(f"the exchange {target.exchange} of dead letters does not take it"):
            async with asyncio.timeout(ANSWER_SECONDS):
                async with self._publish_lock:
                    channel = await self._publisher()
                await channel.basic_publish(
                    message.body,
                    exchange=target.exchange,
                    routing_key=routing_key,
                    properties=_dead_letter_properties(message, self._options.queue, refusal),
                    mandatory=True,
                )
        await self.accept(delivery_tag)

    async def _publisher(self) -> AbstractChannel:
        """Return the channel with confirms; an exchange that does not exist closes it."""
        if self._connection.is_closed:
            raise MessageBrokerError("the connection is closed")  # aiormq would raise a RuntimeError
        if self._publishing is None or self._publishing.is_closed:
            self._publishing = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        return self._publishing

    async def _on_message(self, message: DeliveredMessage) -> None:
        with contextlib.suppress(MessageBrokerError):
            await self._handler(RabbitMqDelivery(self, message))

    def _on_cancel(self, _frame: Basic.Cancel) -> None:
        self._lose("RabbitMQ cancelled the consumer: the queue was deleted or is not available")

    def _on_closing(self, closing: asyncio.Future[object]) -> None:
        error = None if closing.cancelled() else closing.exception()
        self._lose(_text(error) if error is not None else "the connection was closed")

    def _lose(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)


class RabbitMqDelivery:
    """Message that was delivered; implements Delivery."""

    def __init__(self, link: RabbitMqLink, delivered: DeliveredMessage) -> None:
        self.message = queued_message(delivered)
        self._link = link
        self._delivered = delivered
        self._tag = delivered.delivery_tag or 0

    async def accept(self) -> None:
        """See Delivery."""
        await self._link.accept(self._tag)

    async def dead_letter(self, refusal: Refusal) -> None:
        """See Delivery."""
        await self._link.dead_letter(self._delivered, self._tag, refusal)


def queued_message(delivered: DeliveredMessage) -> QueuedMessage:
    """Return a message in the form of core."""
    properties = delivered.header.properties
    headers = properties.headers or {}
    texts = {name: text for name, value in headers.items() if (text := _header_text(value)) is not None}
    returns = headers.get(RETURNS_HEADER)
    return QueuedMessage(
        delivered.body,
        delivered.routing_key or "",
        texts,
        properties.message_id or "",
        properties.content_type or "",
        returns if isinstance(returns, int) else int(bool(delivered.redelivered)),
    )


def _header_text(value: FieldValue) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return str(value)
    return None


def _dead_letter_properties(message: DeliveredMessage, queue: str, refusal: Refusal) -> Basic.Properties:
    """Return the properties of a dead letter: those of the message, durable, without user and expiry."""
    own = message.header.properties
    kept = {name: value for name, value in (own.headers or {}).items() if name not in NOT_COPIED}
    headers: FieldTable = {
        **kept,
        REASON_HEADER: str(refusal)[:MAX_REASON],
        CODE_HEADER: refusal.error.code,
        QUEUE_HEADER: queue,
    }
    return Basic.Properties(
        content_type=own.content_type,
        content_encoding=own.content_encoding,
        headers=headers,
        delivery_mode=2,
        priority=own.priority,
        correlation_id=own.correlation_id,
        reply_to=own.reply_to,
        message_id=own.message_id,
        timestamp=own.timestamp,
        message_type=own.message_type,
        app_id=own.app_id,
    )


@contextlib.contextmanager
def _failures(what: str) -> Iterator[None]:
    """Convert failures of the link to MessageBrokerError.

    ChannelInvalidStateError, of a channel that is closed, is a RuntimeError and no AMQPError. aiormq cancels those who
    wait when the connection is lost, which is no cancellation of the task.
    """
    try:
        yield
    except (AMQPError, ChannelInvalidStateError, OSError) as error:  # TimeoutError is an OSError
        raise MessageBrokerError(f"{what}: {_text(error)}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise MessageBrokerError(f"{what}: the connection was lost") from error


def _text(error: BaseException) -> str:
    return connect_error(error)
