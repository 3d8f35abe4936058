"""A Redis Cluster on loopback: three primaries, optionally with a replica each."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis.crc import key_slot

from tests.kit.redis_answer import fields, texts
from tests.kit.redis_process import RedisProcess, free_port, wait_until

SLOTS = 16_384
PRIMARIES = 3
NODE_TIMEOUT_SECONDS = 1.5
READY_SECONDS = 30.0


@dataclass
class RedisClusterDeployment:
    """`nodes[0..2]` are the primaries at first, `nodes[3..5]`, if any, their replicas."""

    nodes: list[RedisProcess]

    @property
    def password(self) -> str:
        """Password of all nodes."""
        return self.nodes[0].password

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of all nodes."""
        return tuple(node.address for node in self.nodes)

    @property
    def url(self) -> str:
        """The URL for servers."""
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis+cluster://{login}{','.join(self.addresses)}"

    def primary_of(self, key: bytes) -> RedisProcess:
        """Return the primary of a key's slot, according to the first running node."""
        living = next(node for node in self.nodes if node.process is not None)
        slot = key_slot(key)
        for line in _nodes_text(living):
            words = line.split(" ")
            port = int(words[1].partition("@")[0].rpartition(":")[2])
            if "master" in words[2] and any(slot in _slots(word) for word in words[8:]):
                return next(node for node in self.nodes if node.port == port)
        raise RuntimeError(f"nobody has slot {slot}")

    def replica_of(self, primary: RedisProcess) -> RedisProcess:
        """Return the replica of a primary."""
        own = _identity(primary)
        for node in self.nodes:
            if node.process is not None and _primary_identity(node) == own:
                return node
        raise RuntimeError("the primary has no replica")

    def move_slot(self, slot: int, source: RedisProcess, target: RedisProcess) -> None:
        """Move a slot with its keys, as `redis-cli --cluster reshard` does."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", _identity(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", _identity(target))
        login = ("AUTH", self.password) if self.password else ()
        while isinstance(keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100), list) and keys:
            source.ask("MIGRATE", target.host, target.port, "", 0, 5000, *login, "KEYS", *texts(keys))
        for node in (target, source, *(node for node in self.nodes[:PRIMARIES] if node not in (target, source))):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", _identity(target))


@contextlib.contextmanager
def running_cluster(
    password: str = "", *, replicas: bool = False, program: str = "redis-server"
) -> Iterator[RedisClusterDeployment]:
    """Run a Redis Cluster while the body runs."""
    options = (
        "--cluster-enabled", "yes", "--cluster-node-timeout", str(round(NODE_TIMEOUT_SECONDS * 1000)),
        "--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder, contextlib.ExitStack() as stack:
        nodes = []
        for number in range(2 * PRIMARIES if replicas else PRIMARIES):
            (Path(folder) / str(number)).mkdir()
            port, bus = free_port(), free_port()  # by default the bus is at port + 10000, which may be no port
            node = RedisProcess(port, f"{folder}/{number}", password, program, (*options, "--cluster-port", str(bus)))
            node.launch()
            stack.callback(node.stop)
            nodes.append(node)
        for node in nodes:
            node.wait()
        _join(nodes)
        yield RedisClusterDeployment(nodes)


def _join(nodes: list[RedisProcess]) -> None:
    for index, node in enumerate(nodes[:PRIMARIES]):
        first, last = index * SLOTS // PRIMARIES, (index + 1) * SLOTS // PRIMARIES - 1
        node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
    wait_until(lambda: _have_met(nodes), "the nodes know each other", READY_SECONDS, every=0.5)
    for primary, replica in zip(nodes[:PRIMARIES], nodes[PRIMARIES:], strict=False):
        replica.ask("CLUSTER", "REPLICATE", _identity(primary))
    wait_until(lambda: all(_is_ready(node) for node in nodes), "the cluster works", READY_SECONDS)


def _have_met(nodes: list[RedisProcess]) -> bool:
    """Return True when all nodes know each other.

    Otherwise repeat the introductions, which time out on a busy machine.
    """
    if all(_knows_all(node, len(nodes)) for node in nodes):
        return True
    for node in nodes[1:]:
        bus = node.options[node.options.index("--cluster-port") + 1]
        nodes[0].ask("CLUSTER", "MEET", node.host, node.port, bus)
    return False


def _knows_all(node: RedisProcess, count: int) -> bool:
    lines = _nodes_text(node)
    return len(lines) == count and not any("handshake" in line for line in lines)


def _slots(word: str) -> range:
    """Parse FIRST-LAST or a single slot; slots in brackets are being migrated and are left out."""
    if word.startswith("["):
        return range(0)
    first, _, last = word.partition("-")
    return range(int(first), int(last or first) + 1)


def _is_ready(node: RedisProcess) -> bool:
    replication = fields(node.ask("INFO", "replication"))
    in_step = replication["role"] == "master" or replication["master_link_status"] == "up"
    return in_step and fields(node.ask("CLUSTER", "INFO"))["cluster_state"] == "ok"


def _identity(node: RedisProcess) -> str:
    return texts(node.ask("CLUSTER", "MYID"))[0]


def _primary_identity(node: RedisProcess) -> str:
    myself = next(line for line in _nodes_text(node) if "myself" in line)
    return myself.split(" ")[3]


def _nodes_text(node: RedisProcess) -> list[str]:
    return texts(node.ask("CLUSTER", "NODES"))[0].splitlines()
