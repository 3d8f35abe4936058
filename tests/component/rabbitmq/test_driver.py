"""The driver of RabbitMQ against a real one: TLS, logins, frozen and refusing exchanges, and the consumer timeout."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from realtime_server import codes
from realtime_server.core.ports.message_broker import Delivery, MessageBrokerError, Refusal
from realtime_server.message_broker_settings import DeadLetter, RabbitMq
from realtime_server.message_brokers.rabbitmq import QueueOptions, RabbitMqLink, RabbitMqQueue
from tests.kit.amqp_backend import channel_to, depth, make_queue, publish, take
from tests.kit.certificates import Mount
from tests.kit.deadline import eventually
from tests.kit.rabbitmq_process import RabbitMqProcess, running_rabbitmq

pytestmark = pytest.mark.timeout(120)

DEAD_LETTER = DeadLetter(exchange="not-there-yet", routing_key="dead")
REFUSAL = Refusal(codes.BAD_REQUEST, "wrong")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Mount:
    """Certificates of 127.0.0.1, with which clients can authenticate too."""
    mount = Mount(tmp_path_factory.mktemp("tls") / "certificates")
    mount.issue()
    return mount


@pytest.fixture(scope="module")
def rabbitmq(certificates: Mount) -> Iterator[RabbitMqProcess]:
    """Start a RabbitMQ with TLS beside its plain port."""
    with running_rabbitmq(certificates=certificates.authority.parent) as process:
        yield process


class Deliveries:
    """Handler that keeps deliveries."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self.cancelled = 0

    async def handle(self, delivery: Delivery) -> None:
        """Keep a delivery, and stay until the link is closed."""
        self.queue.put_nowait(delivery)
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1

    async def next(self) -> Delivery:
        """Return the next delivery."""
        async with asyncio.timeout(10):
            return await self.queue.get()


def url_file(folder: Path, url: str) -> Path:
    """Write a URL into a file."""
    file = folder / "url"
    file.write_text(url)
    return file


@contextlib.asynccontextmanager
async def opened(
    broker: RabbitMq, queue: str, deliveries: Deliveries, dead_letter: DeadLetter | None = None
) -> AsyncIterator[RabbitMqLink]:
    """Consume a queue while the body runs."""
    link = await RabbitMqQueue(broker, QueueOptions(queue, 10, dead_letter, "test")).open(deliveries.handle)
    try:
        yield link
    finally:
        await link.close()


async def test_tls_verifies_both_sides(
    rabbitmq: RabbitMqProcess, certificates: Mount, queue: str, tmp_path: Path
) -> None:
    """A URL cannot turn that off."""
    await make_queue(rabbitmq.url, queue)
    address = f"127.0.0.1:{rabbitmq.tls_port}"
    url = url_file(tmp_path, f"amqps://guest:guest@{address}/?no_verify_ssl=1")
    own = {"certificate_file": certificates.certificate, "key_file": certificates.key}
    deliveries = Deliveries()
    async with opened(RabbitMq(url_file=url, ca_file=certificates.authority, **own), queue, deliveries):
        async with channel_to(rabbitmq.url) as channel:
            await publish(channel, queue, b"1", message_id="m1")
        assert (await deliveries.next()).message.message_id == "m1"
    for broker in (RabbitMq(url_file=url), RabbitMq(url_file=url, ca_file=certificates.authority)):
        with pytest.raises(MessageBrokerError, match="RabbitMQ cannot be reached: "):
            async with opened(broker, queue, deliveries):
                pass


async def test_a_wrong_password_is_said_and_not_shown(rabbitmq: RabbitMqProcess, queue: str, tmp_path: Path) -> None:
    broker = RabbitMq(url_file=url_file(tmp_path, f"amqp://guest:the-wrong-one@127.0.0.1:{rabbitmq.port}/"))
    with pytest.raises(MessageBrokerError, match="ACCESS_REFUSED") as error:
        async with opened(broker, queue, Deliveries()):
            pass
    assert "the-wrong-one" not in str(error.value)


async def test_a_dead_letter_is_removed_only_when_its_exchange_has_it(
    rabbitmq: RabbitMqProcess, queue: str, tmp_path: Path
) -> None:
    """An exchange that is missing or routes it nowhere does not have it; the link stays."""
    await make_queue(rabbitmq.url, queue)
    broker, deliveries = RabbitMq(url_file=url_file(tmp_path, rabbitmq.url)), Deliveries()
    async with channel_to(rabbitmq.url) as channel:
        await publish(channel, queue, b"1", message_id="m1", headers={"BCC": ["x"], "kept": "yes"})
        async with opened(broker, queue, deliveries, DEAD_LETTER) as link:
            delivery = await deliveries.next()
            with pytest.raises(MessageBrokerError, match="NOT_FOUND - no exchange 'not-there-yet'"):
                await delivery.dead_letter(REFUSAL)
            await channel.exchange_declare(exchange=DEAD_LETTER.exchange, exchange_type="direct", durable=True)
            with pytest.raises(MessageBrokerError, match="NO_ROUTE"):
                await delivery.dead_letter(REFUSAL)
            await channel.queue_declare("dead", durable=True)
            await channel.queue_bind("dead", exchange=DEAD_LETTER.exchange, routing_key="dead")
            await delivery.dead_letter(REFUSAL)
            assert await link.depth() == 0
        assert deliveries.cancelled == 1
        letter = await take(rabbitmq.url, "dead")
        assert letter is not None
        headers = {**(letter.header.properties.headers or {})}
        headers.pop("x-delivery-count", None)  # 0 by RabbitMQ 3.10, absent by 4.0
        assert headers == {
            "kept": "yes", "x-realtime-reason": "bad request: wrong", "x-realtime-code": 107,
            "x-realtime-queue": queue,
        }  # fmt: skip
        assert await depth(rabbitmq.url, queue) == 0


async def test_without_a_place_for_dead_letters_a_message_is_rejected(
    rabbitmq: RabbitMqProcess, queue: str, tmp_path: Path
) -> None:
    """The queue's own dead-letter exchange gets it."""
    await make_queue(rabbitmq.url, f"{queue}-rejected", {})
    await make_queue(
        rabbitmq.url, queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue}-rejected"}
    )
    deliveries = Deliveries()
    async with channel_to(rabbitmq.url) as channel:
        await publish(channel, queue, b"1")
    async with opened(RabbitMq(url_file=url_file(tmp_path, rabbitmq.url)), queue, deliveries):
        await (await deliveries.next()).dead_letter(REFUSAL)
        await eventually(lambda: depth(rabbitmq.url, f"{queue}-rejected"), lambda n: n == 1, what="rejected", within=5)


async def test_what_is_not_answered_goes_back_when_the_link_is_closed(
    rabbitmq: RabbitMqProcess, queue: str, tmp_path: Path
) -> None:
    """What was answered does not; a quorum queue counts the returns."""
    await make_queue(rabbitmq.url, queue)
    broker = RabbitMq(url_file=url_file(tmp_path, rabbitmq.url))
    async with channel_to(rabbitmq.url) as channel:
        for ident in ("m1", "m2", "m3"):
            await publish(channel, queue, b"1", message_id=ident)
    for returns in range(3):
        deliveries = Deliveries()
        async with opened(broker, queue, deliveries):
            got = [await deliveries.next() for _ in range(3 - returns)]
            assert [one.message.message_id for one in got] == ["m1", "m2", "m3"][returns:]
            assert [one.message.returns for one in got] == [returns] * len(got)
            await got[0].accept()
        with pytest.raises(MessageBrokerError):
            await got[-1].accept()


async def test_a_killed_rabbitmq_is_a_lost_link(queue: str, tmp_path: Path) -> None:
    """Handlers are cancelled, and every call says so by the one error."""
    with running_rabbitmq() as process:
        await make_queue(process.url, queue)
        broker, deliveries = RabbitMq(url_file=url_file(tmp_path, process.url)), Deliveries()
        async with channel_to(process.url) as channel:
            await publish(channel, queue, b"1")
        async with opened(broker, queue, deliveries, DEAD_LETTER) as link:
            delivery = await deliveries.next()
            process.kill()
            async with asyncio.timeout(5):
                await link.wait_lost()
            await asyncio.sleep(0.1)
            assert deliveries.cancelled == 1
            for call in (delivery.accept(), delivery.dead_letter(REFUSAL), link.depth()):
                with pytest.raises(MessageBrokerError):
                    await call
        with pytest.raises(MessageBrokerError, match="RabbitMQ cannot be reached: "):
            async with opened(broker, queue, deliveries):
                pass


async def test_a_suspended_rabbitmq_holds_nobody_up_for_ever(
    queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls and the end of the link have their times."""
    for name in ("CONNECT_SECONDS", "ANSWER_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(f"realtime_server.message_brokers.rabbitmq.{name}", 1.0)
    with running_rabbitmq() as process:
        await make_queue(process.url, queue)
        broker, deliveries = RabbitMq(url_file=url_file(tmp_path, process.url)), Deliveries()
        link = await RabbitMqQueue(broker, QueueOptions(queue, 10, None, "test")).open(deliveries.handle)
        process.freeze()
        with pytest.raises(MessageBrokerError):
            await link.depth()
        async with asyncio.timeout(6):
            await link.close()
        with pytest.raises(MessageBrokerError):
            async with opened(broker, queue, deliveries):
                pass
