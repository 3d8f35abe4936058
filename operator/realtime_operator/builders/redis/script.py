"""Shell programs of the managed Redis: start, password rotation, probes. They need sh, sed, cat, sleep and date.

Passwords are passed as files and on standard input: arguments and environment are visible to others. printf is a
builtin of the shell.
"""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.builders.pods import pod
from realtime_operator.builders.redis import metrics_exporter, tls_options

DATA_DIRECTORY = "/data"
PASSWORD_FILE = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/{naming.KEY_REDIS_PASSWORD}"
CONFIGURATION_FILE = f"{pod.TEMPORARY_DIRECTORY}/redis.conf"
OVERLAP_SECONDS = 180
"""Time for which a former password stays valid: the kubelets have given the new one to every pod by then."""

# Images of Valkey may have programs of its own names only.
PROGRAMS = """server=$(command -v redis-server || command -v valkey-server)
cli=$(command -v redis-cli || command -v valkey-cli)"""

PREPARE = f"""umask 077
{PROGRAMS}
quoted() {{ printf '%s' "$1" | sed 's/[\\"]/\\\\&/g'; }}
call() {{ REDISCLI_AUTH="$password" "$cli"OWN_POD -p {naming.PORT_REDIS}; }}
password=$(cat {PASSWORD_FILE})
main=$(exec sh -c 'echo "$PPID"')"""
"""`OWN_POD` stands for options of redis-cli. `main` is the id of the process that becomes Redis. It has no other name:
Kubernetes takes two dollar signs in a command for one."""

ROTATE = f"""rotate() {{
  former='' until=0 unused='' from=0
  while sleep 1 && kill -0 "$main"; do
    now=$(date +%s)FOLLOW
    if [ -n "$unused" ] && [ "$now" -ge "$from" ]; then
      use
      unused=''
    fi
    if [ -n "$former" ] && [ "$now" -ge "$until" ]; then
      printf 'ACL SETUSER default "<%s"\\n' "$(quoted "$former")" | call | grep -q OK && former=''
    fi
    new=$(cat {PASSWORD_FILE}) && [ -n "$new" ] && [ "$new" != "$password" ] || continue
    printf 'ACL SETUSER default ">%s"\\n' "$(quoted "$new")" | call | grep -q OK || continue
    [ -z "$former" ] || [ "$former" = "$new" ] || printf 'ACL SETUSER default "<%s"\\n' "$(quoted "$former")" | call
    former=$password password=$new unused=yes from=$((now + {OVERLAP_SECONDS // 2})) until=$((now + {OVERLAP_SECONDS}))
  done
}}"""
"""The loop that takes a changed password, and with TLS at FOLLOW a renewed certificate. `use` sends the password to
others; they all accept it by half of the overlap."""

STANDALONE = """{prepare}
use() {{ :; }}
{rotate}
printf 'requirepass "%s"\\n' "$(quoted "$password")" > {configuration}{users}
rotate > /dev/null 2>&1 &
exec "$server" {configuration} {listen} --dir {directory} --appendonly yes --appendfsync everysec --save '' \
--maxmemory {memory} --maxmemory-policy noeviction"""


def prepare(*, tls: bool, renew: str = tls_options.RELOAD) -> str:
    """Return the beginning of a program; `renew` defines what a renewed certificate is taken by."""
    text = PREPARE.replace("OWN_POD", tls_options.OWN_POD if tls else "")
    return f"{text}{tls_options.FOLLOW}{renew}" if tls else text


def rotate(*, tls: bool) -> str:
    """Return the definition of `rotate`."""
    return ROTATE.replace("FOLLOW", "\n    follow" if tls else "")


def standalone_script(memory: int, *, tls: bool, exporter: bool) -> str:
    """Return the program of a single Redis that may use `memory` bytes for its data."""
    return STANDALONE.format(
        prepare=prepare(tls=tls),
        rotate=rotate(tls=tls),
        users=f"{metrics_exporter.USER} >> {CONFIGURATION_FILE}" if exporter else "",
        configuration=CONFIGURATION_FILE,
        listen=tls_options.listen_options(naming.PORT_REDIS, tls=tls),
        directory=DATA_DIRECTORY,
        memory=memory,
    )


def ping_script(answer: str, *, tls_options: str) -> str:
    """Return the program of a probe that wants an answer to PING, as an extended regular expression."""
    options = f"{tls_options} -p {naming.PORT_REDIS}"
    return f'{PROGRAMS}\nREDISCLI_AUTH="$(cat {PASSWORD_FILE})" "$cli"{options} ping | grep -Eq \'{answer}\''
