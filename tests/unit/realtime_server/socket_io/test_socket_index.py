"""Pages of the sockets of a worker; for the selection see test_emissions."""

from __future__ import annotations

from realtime_server.protocols.socket_io.namespace_codec import NamespaceCodec
from realtime_server.socket_io.socket_index import SocketEntry, SocketIndex, SocketSelection
from realtime_server.socket_io.socket_namespace import SocketNamespace
from realtime_server.socket_io.socket_session import SocketSession
from tests.kit.server_doubles import SECRET
from tests.kit.tokens import connection_token
from tests.unit.realtime_server.socket_io.world import FRAMING, World

ROOT = SocketSelection("/")


async def index_of(world: World) -> SocketIndex:
    """Return an index of the sockets of a world."""
    index = SocketIndex({"/": SocketNamespace("/", NamespaceCodec("/", FRAMING))}, world.node.hub)
    for session in world.node.sessions:
        assert isinstance(session, SocketSession)
        index.add(session)
    return index


async def test_an_entry_has_what_a_backend_asks_for() -> None:
    """Also the present transport, and the rooms in their order; a channel of another namespace is no room."""
    world = World()
    connection = world.poll()
    token = connection_token(SECRET, "ann", info={"name": "Ann"}, channels=["chat:b", "chat:a", "news:x"])
    connection.take_data(b'40/chat,{"token":"%b"}' % token.encode())
    index = SocketIndex({"/chat": SocketNamespace("/chat", NamespaceCodec("/chat", FRAMING), "chat")}, world.node.hub)
    [session] = world.node.sessions
    assert isinstance(session, SocketSession)
    index.add(session)
    page = index.page(SocketSelection("/chat"), after="", limit=1, max_bytes=1000)
    info = b'{"name":"Ann"}'
    assert page.sockets == [SocketEntry(session.client, "ann", "polling", info, ["a", "b"])]
    client = world.upgrade(connection)
    client.text("2probe", "5")
    page = index.page(SocketSelection("/chat"), after="", limit=1, max_bytes=1000)
    assert page.sockets[0].transport == "websocket"


async def test_the_size_of_a_page_is_bounded() -> None:
    """By as many sockets as fit, and at least one."""
    world = World()
    ids = sorted([await world.open().connect() for _ in range(3)])
    index = await index_of(world)
    for most, expected in ((1, 1), (250, 2), (1000, 3)):
        page = index.page(ROOT, after="", limit=3, max_bytes=most)
        assert [entry.client for entry in page.sockets] == ids[:expected]
        assert page.is_last is (expected == 3)


async def test_the_newest_socket_has_an_id() -> None:
    """One that continues it elsewhere on this worker may come before the end of the older one is handled."""
    world = World()
    for _ in range(2):
        await world.open().connect()
    index = await index_of(world)
    old, new = [session for session in world.node.sessions if isinstance(session, SocketSession)]
    index.remove(new)
    new.rename(old.client)
    index.add(new)
    index.remove(old)
    assert index.select(ROOT) == [new]
    index.remove(new)
    index.remove(new)
    assert index.select(ROOT) == []
