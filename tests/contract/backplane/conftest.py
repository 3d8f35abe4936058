"""Drivers of the backplane, on real processes with passwords."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from realtime_server import settings
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_occupancy import MemoryOccupancy
from realtime_server.backplane.memory_presence import MemoryPresence
from realtime_server.backplane.memory_queue import MemoryEventQueue
from realtime_server.backplane.memory_revocations import MemoryRevocations
from realtime_server.backplane.memory_sessions import MemorySessionStore
from realtime_server.backplane.redis import RedisBroker, open_router
from realtime_server.backplane.redis_archive import RedisArchive
from realtime_server.backplane.redis_link import Timing
from realtime_server.backplane.redis_occupancy import RedisOccupancy
from realtime_server.backplane.redis_presence import RedisPresence
from realtime_server.backplane.redis_queue import RedisEventQueue
from realtime_server.backplane.redis_revocations import RedisRevocations
from realtime_server.backplane.redis_sessions import RedisSessionStore
from realtime_server.core.ports.archive import StreamArchive
from realtime_server.core.ports.backplane import Broker, ChannelOccupancy, EventQueue, PresenceStore, RevocationStore
from realtime_server.core.ports.session_store import SessionStore
from tests.contract.backplane.recorder import Recorder
from tests.kit.redis_answer import fields
from tests.kit.redis_cluster import RedisClusterDeployment, running_cluster
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.redis_programs import NEWEST_REDIS, OLDEST_REDIS, VALKEY
from tests.kit.redis_sentinel import PRIMARY_NAME, SentinelDeployment, running_sentinels

PASSWORD = "pass word/with:all@kinds%of#signs"
PACKAGED = {
    name: program
    for name, program in (("oldest", OLDEST_REDIS), ("newest", NEWEST_REDIS), ("valkey", VALKEY))
    if program.is_for()
}
"""Redis 6.2, Redis 8 and Valkey 9, as far as available for this interpreter and machine."""
PROGRAMS = ("standalone", *PACKAGED)
"""Programs of a single process; `standalone` is the distribution's Redis, as in `sentinel` and `cluster`."""
LINKED_DRIVERS = (*PROGRAMS, "sentinel", "cluster")
DRIVERS = ("memory", *LINKED_DRIVERS)
NODE = "node-of-the-test"
TIMING = Timing(
    connect=2, call=2, probe=0.2, probes_missed=3, retry_first=0.02, retry_most=0.2,
    canary=0.2, canary_overdue=2, settle=1, silent=2, topology=0.2, usage=0.2,
)  # fmt: skip
"""Times shorter than in production, and longer than a busy machine delays a process."""
POSITION_SECONDS = 0.6
QUEUE_SIZE = 5
MOST_REVOCATIONS, REVOCATION_PAGE = 50, 10
MOST_STATES = 5
ORDERED = ("rooms",)
"""Ordered namespaces."""


@dataclass(frozen=True)
class Server:
    """Backplane of one server, with the events of its broker."""

    broker: Broker
    presence: PresenceStore
    occupancy: ChannelOccupancy
    queue: EventQueue
    revocations: RevocationStore
    sessions: SessionStore
    seen: Recorder
    archive: StreamArchive | None = None


class Connect(Protocol):
    """Factory of servers that share a backplane."""

    def __call__(self, timing: Timing = TIMING) -> contextlib.AbstractAsyncContextManager[Server]:
        """Start a server that is stopped at the end."""


def program_of(name: str) -> str:
    """Return the program of one of PROGRAMS."""
    return str(PACKAGED[name].path) if name in PACKAGED else "redis-server"


def redis_settings(process: RedisProcess, folder: Path) -> settings.Redis:
    """Return settings with the password in a file."""
    return settings.Redis(address=process.address, password_file=password_file(process.password, folder))


def password_file(password: str, folder: Path) -> Path:
    """Write a file with a password, as in a mounted Secret."""
    path = folder / "password"
    path.write_text(password + "\n")
    return path


def redis_server(
    redis: settings.Redis, prefix: str, timing: Timing = TIMING
) -> contextlib.AbstractAsyncContextManager[Server]:
    """Return a server on Redis; positions are short-lived so that tests can see them expire."""
    router = open_router(redis, prefix, timing, ORDERED)
    broker = RedisBroker(router, position_seconds=POSITION_SECONDS)
    queue = RedisEventQueue(router, "events", QUEUE_SIZE)
    revocations = RedisRevocations(router, most=MOST_REVOCATIONS, page_size=REVOCATION_PAGE)
    archive = RedisArchive(router, broker.lifetimes)
    presence, occupancy = RedisPresence(router), RedisOccupancy(router)
    sessions = RedisSessionStore(router, most=MOST_STATES)
    return started(Server(broker, presence, occupancy, queue, revocations, sessions, Recorder(), archive))


def memory_server() -> contextlib.AbstractAsyncContextManager[Server]:
    """Return a server with the memory backplane."""
    broker = MemoryBroker(position_seconds=POSITION_SECONDS, ordered=ORDERED)
    queue = MemoryEventQueue(QUEUE_SIZE)
    revocations = MemoryRevocations(most=MOST_REVOCATIONS, page_size=REVOCATION_PAGE)
    presence, occupancy = MemoryPresence(broker), MemoryOccupancy()
    sessions = MemorySessionStore(most=MOST_STATES)
    return started(Server(broker, presence, occupancy, queue, revocations, sessions, Recorder()))


@contextlib.asynccontextmanager
async def started(server: Server) -> AsyncIterator[Server]:
    """Start the server's broker, and stop it at the end."""
    await server.broker.start(server.seen, NODE)
    try:
        yield server
    finally:
        await server.broker.stop()


# processes that nobody stops


@pytest.fixture(scope="session")
def standalone() -> Iterator[RedisProcess]:
    """Start one Redis."""
    with running_redis(PASSWORD) as process:
        yield process


@pytest.fixture(scope="session")
def oldest() -> Iterator[RedisProcess]:
    """Start one Redis of the oldest supported version."""
    with packaged("oldest") as process:
        yield process


@pytest.fixture(scope="session")
def newest() -> Iterator[RedisProcess]:
    """Start one Redis of the newest packaged version."""
    with packaged("newest") as process:
        yield process


@pytest.fixture(scope="session")
def valkey() -> Iterator[RedisProcess]:
    """Start one Valkey."""
    with packaged("valkey") as process:
        yield process


@contextlib.contextmanager
def packaged(name: str) -> Iterator[RedisProcess]:
    """Run one of PACKAGED, checking its version."""
    with running_redis(PASSWORD, program=program_of(name)) as process:
        field, version = PACKAGED[name].version
        assert fields(process.ask("INFO", "server"))[field].startswith(version)
        yield process


@pytest.fixture(scope="session")
def sentinels() -> Iterator[SentinelDeployment]:
    """Start a primary, a replica, and three sentinels."""
    with running_sentinels(PASSWORD) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisClusterDeployment]:
    """Start three primaries."""
    with running_cluster(PASSWORD) as deployment:
        yield deployment


def settings_of(driver: str, request: pytest.FixtureRequest, folder: Path) -> settings.Redis:
    """Return how a server reaches the processes of a driver, which are started at their first use."""
    if driver in PROGRAMS:
        process: RedisProcess = request.getfixturevalue(driver)
        return redis_settings(process, folder)
    secret = password_file(PASSWORD, folder)
    if driver == "sentinel":
        sentinels: SentinelDeployment = request.getfixturevalue("sentinels")
        place = settings.RedisSentinel(addresses=sentinels.addresses, master_name=PRIMARY_NAME)
        return settings.Redis(sentinel=place, password_file=secret)
    deployment: RedisClusterDeployment = request.getfixturevalue("cluster")
    return settings.Redis(cluster=settings.RedisCluster(addresses=deployment.addresses), password_file=secret)


@pytest.fixture(params=DRIVERS)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """Start a server on each driver in turn."""
    if request.param == "memory":
        async with memory_server() as found:
            yield found
        return
    async with redis_server(settings_of(request.param, request, tmp_path), secrets.token_hex(4)) as found:
        yield found


@pytest.fixture(params=LINKED_DRIVERS)
def together(request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    """Return a factory of servers that share a driver's processes."""
    place, prefix = settings_of(request.param, request, tmp_path), secrets.token_hex(4)
    return lambda timing=TIMING: redis_server(place, prefix, timing)


# a Redis of the test's own


@pytest.fixture(params=PROGRAMS)
def redis(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    """Start a Redis that the test may stop and start."""
    with running_redis(PASSWORD, program=program_of(request.param)) as process:
        yield process


@pytest.fixture
def connect(redis: RedisProcess, tmp_path: Path) -> Connect:
    """Return a factory of servers that share the test's own Redis."""
    place, prefix = redis_settings(redis, tmp_path), secrets.token_hex(4)
    return lambda timing=TIMING: redis_server(place, prefix, timing)
