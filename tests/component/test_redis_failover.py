"""A managed Redis with failover: the programs of its containers in three pods, which are stopped and killed."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError, ResponseError

from realtime_operator.naming import PORT_REDIS, PORT_SENTINEL
from tests.kit.redis_answer import ask, fields, texts
from tests.kit.redis_pods import RedisPodProcess, running_pods, wait_settled
from tests.kit.redis_process import wait_until
from tests.kit.redis_programs import OLDEST_REDIS, VALKEY

FAILOVER_SECONDS = 60.0
JUMP_SECONDS = 3
"""Pause of a sentinel after which it goes by its clock having jumped, from 2 s on."""


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[list[RedisPodProcess]]:
    """Run three pods that have settled."""
    with running_pods(tmp_path) as found:
        assert wait_settled(found).number == 0
        yield found


@contextlib.contextmanager
def writing(pods: list[RedisPodProcess]) -> Iterator[list[str]]:
    """Append numbers to a list at whoever is primary; the yielded list has the confirmed ones."""
    confirmed: list[str] = []
    done = threading.Event()

    def write() -> None:
        for number in itertools.count():
            if done.wait(0.01):
                return
            for one in pods:
                with contextlib.suppress(OSError, RedisError):
                    if one.role() == "master":
                        one.ask("RPUSH", "written", number)
                        confirmed.append(str(number))
                        break

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield confirmed
    finally:
        done.set()
        writer.join()


def written(pod: RedisPodProcess) -> set[str]:
    """Return the numbers in the list of a pod."""
    return set(texts(pod.ask("LRANGE", "written", 0, -1)))


@pytest.mark.timeout(180)
def test_a_primary_that_is_stopped_has_a_successor_with_everything(pods: list[RedisPodProcess]) -> None:
    """What was confirmed is on the new primary; the stopped pod comes back empty, as a replica."""
    stop_the_primary(pods)


IMAGES = {
    "Redis 6.2": (OLDEST_REDIS, "redis-server", "redis-cli"),
    "Valkey 9": (VALKEY, "valkey-server", "valkey-cli"),
}
"""Other programs than those of Debian, and the names that their images have them by."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("image", [name for name, (program, *_) in IMAGES.items() if program.is_for()])
def test_other_versions_fail_over(image: str, tmp_path: Path) -> None:
    """An image has no other programs; a planned failover loses nothing, and a killed primary has a successor."""
    program, server, client = IMAGES[image]
    cli = shutil.which("redis-cli")
    assert cli is not None
    with running_pods(tmp_path, {server: program.path, client: Path(cli)}) as pods:
        assert wait_settled(pods).number == 0
        field, beginning = program.version
        assert fields(pods[0].ask("INFO", "server"))[field].startswith(beginning)
        primary = stop_the_primary(pods)
        primary.ask("SET", "kept", "value")
        wait_until(lambda: all(texts([one.ask("GET", "kept")]) == ["value"] for one in pods), "replication", 10)
        primary.kill()
        others = [one for one in pods if one is not primary]
        wait_until(lambda: any(one.role() == "master" for one in others), "a successor", FAILOVER_SECONDS)
        primary.lose_data()
        primary.start()
        successor = wait_settled(pods, FAILOVER_SECONDS)
        assert successor is not primary
        assert texts([successor.ask("GET", "kept")]) == ["value"]


def stop_the_primary(pods: list[RedisPodProcess]) -> RedisPodProcess:
    """Stop the first pod, which is primary, and start it without its data; return its successor, which has all."""
    with writing(pods) as confirmed:
        wait_until(lambda: len(confirmed) > 50, "writes", 10)
        pods[0].stop()
        count = len(confirmed)
        pods[0].lose_data()
        pods[0].start()
        primary = wait_settled(pods, FAILOVER_SECONDS)
        wait_until(lambda: len(confirmed) > count + 50, "writes at the new primary", 20)
    assert primary is not pods[0]
    assert pods[0].role() == "slave"
    assert set(confirmed) <= written(primary)
    asked = [one.log("sentinel").read_text().count("Executing user requested FAILOVER") for one in pods]
    assert sum(asked) == 1, asked
    return primary


@pytest.mark.timeout(180)
def test_a_pod_alone_gives_its_role_to_two_that_join(tmp_path: Path) -> None:
    """They have what was written before they joined, and until it stopped; it comes back as a replica."""
    with running_pods(tmp_path, alone=True) as pods:
        with writing(pods) as confirmed:
            wait_until(lambda: all(one.ready() for one in pods), "all are in step", FAILOVER_SECONDS, every=0.3)
            assert {one.primary() for one in pods[1:]} == {pods[0].host}
            wait_until(lambda: len(confirmed) > 50, "writes", 10)
            pods[0].stop()
            count = len(confirmed)
            pods[0].lose_data()
            pods[0].managed = pods[1].managed
            pods[0].start()
            primary = wait_settled(pods, FAILOVER_SECONDS)
            wait_until(lambda: len(confirmed) > count + 50, "writes at the new primary", 20)
        assert primary is not pods[0]
        assert pods[0].role() == "slave"
        assert set(confirmed) <= written(primary)


@pytest.mark.timeout(180)
def test_a_primary_that_lost_its_data_does_not_empty_the_others(pods: list[RedisPodProcess]) -> None:
    """It is killed and back before anybody notices, with an empty volume: a replica takes over, which has the data."""
    pods[0].ask("SET", "kept", "value")
    wait_until(lambda: all(texts([one.ask("GET", "kept")]) == ["value"] for one in pods), "replication", 10)
    pods[0].kill()
    pods[0].lose_data()
    pods[0].start()
    primary = wait_settled(pods, FAILOVER_SECONDS)
    assert primary is not pods[0]
    assert texts([primary.ask("GET", "kept")]) == ["value"]


@pytest.mark.timeout(240)
def test_a_primary_that_lost_its_data_waits_for_sentinels_whose_clock_jumped(pods: list[RedisPodProcess]) -> None:
    """They start no failover for 30 s; it does not begin anew meanwhile, which would empty its replicas."""
    pods[0].ask("SET", "kept", "value")
    wait_until(lambda: all(texts([one.ask("GET", "kept")]) == ["value"] for one in pods), "replication", 10)
    pods[0].kill()
    pods[0].lose_data()
    sentinels = [one.processes["sentinel"] for one in pods[1:]]
    for sentinel in sentinels:
        sentinel.send_signal(signal.SIGSTOP)
    time.sleep(JUMP_SECONDS)
    for sentinel in sentinels:
        sentinel.send_signal(signal.SIGCONT)
    logs = [one.log("sentinel") for one in pods[1:]]
    wait_until(lambda: all("+tilt" in log.read_text() for log in logs), "both notice the jump", 10)
    pods[0].start()
    primary = wait_settled(pods, 2 * FAILOVER_SECONDS)
    assert primary is not pods[0]
    assert texts([primary.ask("GET", "kept")]) == ["value"]


@pytest.mark.timeout(240)
def test_a_primary_that_lost_its_data_gives_its_role_to_the_only_other_pod(pods: list[RedisPodProcess]) -> None:
    """One sentinel of three is no majority: the pod asks it itself, and has the data of the other one then."""
    pods[0].ask("SET", "kept", "value")
    wait_until(lambda: all(texts([one.ask("GET", "kept")]) == ["value"] for one in pods), "replication", 10)
    for one in (pods[0], pods[2]):
        one.kill()
    pods[0].lose_data()
    pods[0].force_tries = 10
    pods[0].start()
    wait_until(lambda: pods[1].role() == "master", "the other pod takes over", FAILOVER_SECONDS)
    wait_until(pods[0].ready, "it is a replica", FAILOVER_SECONDS)
    assert texts([pods[0].ask("GET", "kept")]) == ["value"]


@pytest.mark.timeout(180)
def test_pods_that_all_start_again_find_their_last_primary(pods: list[RedisPodProcess]) -> None:
    """No sentinel is there to ask: the note on the volumes says who has the newest data."""
    pods[0].stop()
    pods[0].start()
    primary = wait_settled(pods, FAILOVER_SECONDS)
    assert primary is not pods[0]
    primary.ask("SET", "newest", "value")
    notes = [one.folder / "data" / "primary" for one in pods]
    wait_until(lambda: {note.read_text().strip() for note in notes} == {primary.host}, "notes", 20)
    for one in pods:
        one.kill()
    for one in pods:
        one.start()
    assert wait_settled(pods, FAILOVER_SECONDS) is primary
    assert texts([pods[0].ask("GET", "newest")]) == ["value"]


@pytest.mark.timeout(180)
def test_a_primary_whose_containers_start_again_keeps_its_data(pods: list[RedisPodProcess]) -> None:
    """Its volume is that of the pod: whoever is primary afterwards has what was confirmed."""
    with writing(pods) as confirmed:
        wait_until(lambda: len(confirmed) > 50, "writes", 10)
        pods[0].kill()
        count = len(confirmed)
        pods[0].start()
        primary = wait_settled(pods, FAILOVER_SECONDS)
        wait_until(lambda: len(confirmed) > count + 50, "writes go on", 20)
    assert set(confirmed) <= written(primary)


@pytest.mark.timeout(180)
def test_pods_that_all_lost_their_data_begin_anew(pods: list[RedisPodProcess]) -> None:
    """Nobody has a history any more: the first one is primary of an empty Redis, which accepts writes."""
    pods[0].ask("SET", "lost", "value")
    for one in pods:
        one.kill()
        one.lose_data()
    for one in pods:
        one.start()
    primary = wait_settled(pods, FAILOVER_SECONDS)
    assert primary is pods[0]
    assert primary.ask("GET", "lost") is None
    primary.ask("SET", "new", "value")


@pytest.mark.timeout(180)
def test_a_full_primary_refuses_writes_and_keeps_what_it_confirmed(pods: list[RedisPodProcess]) -> None:
    """Replicas have it too: after a planned failover it is all there."""
    for one in pods:
        one.ask("CONFIG", "SET", "maxmemory", 8 << 20)
    confirmed = fill(pods[0])
    assert confirmed > 0
    pods[0].stop()
    pods[0].start()
    primary = wait_settled(pods, FAILOVER_SECONDS)
    assert primary is not pods[0]
    assert primary.ask("DBSIZE") == confirmed
    with pytest.raises(ResponseError, match="OOM"):
        primary.ask("SET", "one-more", "x" * 100_000)


def fill(pod: RedisPodProcess) -> int:
    """Write until there is no more room; return how many writes were confirmed."""
    for number in range(1000):
        try:
            pod.ask("SET", f"key-{number}", "x" * 100_000)
        except ResponseError as error:
            if "OOM" in str(error):
                return number
            raise
    raise AssertionError("it is never full")


@pytest.mark.timeout(180)
def test_another_password_reaches_replicas_and_sentinels(pods: list[RedisPodProcess]) -> None:
    """All six programs take it and refuse the former one later; replication and failover go on with it."""
    former, new = pods[0].password, "another 'password\""
    for one in pods:
        one.give_password(new)
        one.password = new
    wait_until(lambda: all(one.role() and one.primary() for one in pods), "the new password", 20)

    def accept(password: str) -> list[bool]:
        return [accepts(one, port, password) for one in pods for port in (PORT_REDIS, PORT_SENTINEL)]

    wait_until(lambda: not any(accept(former)), "the former password is refused", 40)
    assert all(accept(new))
    pods[0].ask("CLIENT", "KILL", "TYPE", "replica")
    wait_settled(pods, FAILOVER_SECONDS)
    pods[0].ask("SET", "kept", "value")
    pods[0].stop()
    pods[0].start()
    primary = wait_settled(pods, FAILOVER_SECONDS)
    assert primary is not pods[0]
    assert texts([primary.ask("GET", "kept")]) == ["value"]


def accepts(pod: RedisPodProcess, port: int, password: str) -> bool:
    """Return True when a program of the pod accepts a password."""
    try:
        return bool(ask((pod.address, port), password, "PING"))
    except ResponseError:
        return False
