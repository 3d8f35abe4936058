r"""Shell programs of a Redis with failover: data pods that find their primary, sentinels, and the planned failover.

The sentinels say who is primary. A pod asks them at its start; where none answers, because all start at the same time,
it goes by what it noted on its volume last, and without a note the first pod begins as primary.
"""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.builders.pods import pod
from realtime_operator.builders.redis import metrics_exporter, tls_options
from realtime_operator.builders.redis.script import (
    CONFIGURATION_FILE,
    DATA_DIRECTORY,
    PASSWORD_FILE,
    PROGRAMS,
    prepare,
    rotate,
)

PODS = 3
"""Number of data pods, each with a sentinel: two sentinels of three agree on a failover."""
QUORUM = 2
DOWN_AFTER_MILLISECONDS = 5000
FAILOVER_MILLISECONDS = 20_000
EMPTY_TRIES = 20
"""Number of times, a second or more apart, that a pod that lost its data looks for another primary before it begins
anew, unless another pod has data."""
FORCE_TRIES = 90
"""Number of such looks before it asks for a failover itself. Sentinels whose clock jumped start none for 30 s, and
after a vote without a majority none for 40 s; where a majority is missing they never do."""
AGAIN_TRIES = 10
"""Number of looks, a second or more apart, before a pod that is stopped asks for a successor once more."""
STOP_SECONDS = 60
"""Grace period of a pod: a planned failover, and the end of Redis."""
NOTE_FILE = f"{DATA_DIRECTORY}/primary"
SENTINEL_FILE = f"{pod.TEMPORARY_DIRECTORY}/sentinel.conf"

FIND = """ask() {{ printf 'SENTINEL GET-MASTER-ADDR-BY-NAME {master}\\n' | REDISCLI_AUTH="$password" \
timeout 2 "$cli"{verified} -h "$1" -p {sentinel_port} 2>/dev/null | head -n 1; }}
find_primary() {{
  for number in {numbers}; do
    found=$(ask "{name}-$number.{nodes}")
    case "$found" in {name}-?.{nodes}) echo "$found"; return;; esac
  done
}}
self="$POD_NAME.{nodes}"
accepts() {{ echo 'SENTINEL FAILOVER {master}' | REDISCLI_AUTH="$password" timeout 2 "$cli"{verified} -h "$1" \
-p {sentinel_port} | grep -q OK; }}""".rstrip()

DATA = """{prepare}
use() {{ printf 'CONFIG SET masterauth "%s"\\n' "$(quoted "$password")" | call; }}
{rotate}
{find}
note() {{
  while sleep 2 && kill -0 "$main"; do
    {{ echo ROLE | call; echo; }} | {{ read -r role; read -r host; case "$role" in master) host=$self;; esac
      case "$host" in *.{nodes}) echo "$host" > {note}.new && mv {note}.new {note};; esac; }}
  done
}}
has_data() {{ echo DBSIZE | REDISCLI_AUTH="$password" timeout 2 "$cli"{verified} -h "$1" -p {port} 2>/dev/null \
| grep -q '^[1-9]'; }}
another() {{
  for number in {numbers}; do
    host="{name}-$number.{nodes}"
    [ "$host" != "$self" ] && "$1" "$host" && return
  done
  return 1
}}
tries=0
while :; do
  primary=$(find_primary) known=$primary
  [ -n "$primary" ] || primary=$(cat {note} 2>/dev/null)
  [ -n "$primary" ] || primary={name}-0.{nodes}
  [ "$primary" = "$self" ] && [ ! -e {directory}/appendonlydir ] && [ ! -e {directory}/appendonly.aof ] || break
  {{ [ -n "$known" ] && [ $tries -lt {empty} ]; }} || another has_data || break
  tries=$((tries + 1))
  [ $((tries % {force})) -ne 0 ] || another accepts
  sleep 1 # an empty primary would empty its replicas: one of them has to take over first
done
{{
  printf 'requirepass "%s"\\n' "$(quoted "$password")"
  printf 'masterauth "%s"\\n' "$(quoted "$password")"
  [ "$primary" = "$self" ] || echo "replicaof $primary {port}"{users}
}} > {configuration}
rotate > /dev/null 2>&1 &
note > /dev/null 2>&1 &
exec "$server" {configuration} {listen} --dir {directory} --appendonly yes --appendfsync everysec --save '' \
--maxmemory {memory} --maxmemory-policy noeviction --replica-announce-ip "$self" \
--min-replicas-to-write 1 --min-replicas-max-lag 10"""

# With another id at each start, Redis 6.2 would count it twice, and two of three would be no majority any more.
# A sentinel keeps a connection on which its password was refused: it must use a new one only when all accept it.
SENTINEL = """{prepare_sentinel}
call() {{ REDISCLI_AUTH="$password" "$cli"{own_pod} -p {sentinel_port}; }}
use() {{
  printf 'SENTINEL SET {master} auth-pass "%s"\\n' "$(quoted "$password")" | call
  printf 'SENTINEL CONFIG SET sentinel-pass "%s"\\n' "$(quoted "$password")" | call
}}
{rotate}
{find}
until [ -n "$primary" ] && printf 'PING\\n' | REDISCLI_AUTH="$password" timeout 2 "$cli"{verified} -h "$primary" \
-p {port} 2>/dev/null | grep -q PONG; do
  sleep 1
  primary=$(find_primary)
  [ -n "$primary" ] || primary=$(cat {note} 2>/dev/null)
done
{{
  printf 'requirepass "%s"\\n' "$(quoted "$password")"
  printf 'sentinel myid %040d\\n' "$((${{POD_NAME##*-}} + 1))"
  echo 'sentinel resolve-hostnames yes'
  echo 'sentinel announce-hostnames yes'
  echo "sentinel announce-ip $self"
  echo "sentinel monitor {master} $primary {port} {quorum}"
  echo 'sentinel down-after-milliseconds {master} {down_after}'
  echo 'sentinel failover-timeout {master} {failover}'
  printf 'sentinel auth-pass {master} "%s"\\n' "$(quoted "$password")"
}} > {configuration}
rotate > /dev/null 2>&1 &
exec "$server" {configuration} --sentinel {sentinel_listen} --dir {temporary}"""

# Writes wait while the primary changes, so that the former one confirms nothing that its successor does not have.
PLANNED_FAILOVER = """{programs}
password=$(cat {password_file})
call() {{ REDISCLI_AUTH="$password" "$cli"{own_pod} -p {port}; }}
{find}
role=$(echo ROLE | call | head -n 1)
[ "$role" = master ] || exit 0
replicas=$(echo 'INFO replication' | call | sed -n 's/^connected_slaves:\\([0-9]*\\).*/\\1/p')
[ "${{replicas:-0}}" -ge 1 ] || exit 0
echo 'CLIENT PAUSE 30000 WRITE' | call
[ "$(echo "WAIT $replicas 5000" | call)" = "$replicas" ] || {{ echo 'CLIENT UNPAUSE' | call; exit 0; }}
tries=0
next=0 # two sentinels that are asked would each promote a replica of their own choice
while [ $tries -lt 20 ]; do
  for number in {numbers}; do
    host="{name}-$number.{nodes}"
    [ "$host" = "$self" ] || case "$(ask "$host")" in
      "$self") if [ $tries -ge $next ] && accepts "$host"; then next=$((tries + {again})); fi;;
      {name}-?.{nodes}) sleep 3; exit 0;; # servers follow the announcement within a second
    esac
  done
  tries=$((tries + 1))
  sleep 1
done"""

READY = """{programs}
printf 'ROLE\\n' | REDISCLI_AUTH="$(cat {password_file})" "$cli"{verified} -p {port} \
| grep -Eq '^(master|connected)$'"""

SENTINEL_READY = """{programs}
printf 'PING\\n' | REDISCLI_AUTH="$(cat {password_file})" "$cli"{verified} -p {sentinel_port} | grep -q PONG"""


class FailoverScripts:
    """Programs of the pods of one cluster; `name` is that of the StatefulSet, `nodes` the suffix of its host names."""

    def __init__(self, name: str, nodes: str, *, tls: bool, exporter: bool) -> None:
        replication = " --tls-replication yes" if tls else ""
        places: dict[str, object] = {
            "name": name,
            "nodes": nodes,
            "numbers": " ".join(map(str, range(PODS))),
            "master": naming.REDIS_MASTER,
            "port": naming.PORT_REDIS,
            "sentinel_port": naming.PORT_SENTINEL,
            "programs": PROGRAMS,
            "prepare": prepare(tls=tls),
            "prepare_sentinel": prepare(tls=tls, renew=tls_options.RESTART),
            "rotate": rotate(tls=tls),
            "users": metrics_exporter.USER if exporter else "",
            "listen": tls_options.listen_options(naming.PORT_REDIS, tls=tls) + replication,
            "sentinel_listen": tls_options.listen_options(naming.PORT_SENTINEL, tls=tls) + replication,
            "own_pod": tls_options.OWN_POD if tls else "",
            "verified": tls_options.VERIFIED if tls else "",
            "password_file": PASSWORD_FILE,
            "note": NOTE_FILE,
            "directory": DATA_DIRECTORY,
            "temporary": pod.TEMPORARY_DIRECTORY,
            "quorum": QUORUM,
            "down_after": DOWN_AFTER_MILLISECONDS,
            "failover": FAILOVER_MILLISECONDS,
            "again": AGAIN_TRIES,
            "empty": EMPTY_TRIES,
            "force": FORCE_TRIES,
        }
        self._places = {**places, "find": FIND.format(**places)}

    def data(self, memory: int) -> str:
        """Return the program of a data container that may use `memory` bytes for its data."""
        return DATA.format(**self._places, memory=memory, configuration=CONFIGURATION_FILE)

    def sentinel(self) -> str:
        """Return the program of a sentinel."""
        return SENTINEL.format(**self._places, configuration=SENTINEL_FILE)

    def planned_failover(self) -> str:
        """Return the program that makes another pod the primary before this one stops."""
        return PLANNED_FAILOVER.format(**self._places)

    def ready(self) -> str:
        """Return the readiness probe of a data container: the primary, or a replica that is in step."""
        return READY.format(**self._places)

    def sentinel_ready(self) -> str:
        """Return the probe of a sentinel."""
        return SENTINEL_READY.format(**self._places)
