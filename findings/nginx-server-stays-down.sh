#!/usr/bin/env bash
# nginx leaves a server that has refused a connection out for fail_timeout, and then tries it with one request. Two servers
# are restarted one after the other, the second long after the first is back: do clients notice?
# Guess: no, or for fail_timeout at most. Found with nginx 1.22.1 (Debian 12): with short requests no. With WebSockets the
# first server stays down although it serves: it is up again only when a request to it has *ended*, and a WebSocket does not
# end. One client gets in per fail_timeout (10 s by default), and all others get 502 "no live upstreams". The same holds for
# SSE and any other long response. With max_fails=0 everybody gets in.
# Why it matters: a rolling restart behind nginx that waits for each server to be healthy, as it should, still turns clients
# away, and more so the longer their connections last. For long connections set max_fails=0; a refused connection costs no
# time, and goes to the next server anyhow.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q -o APT::Sandbox::User=root nginx=1.22.1-9+deb12u11 >/dev/null
dpkg-deb -x nginx_*.deb .

cat >program.py <<'PYTHON'
import asyncio
import pathlib
import socket

CLIENTS = 10
FAIL_TIMEOUT = 2
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def answer(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    if b"upgrade: websocket" in head.lower():
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE + b"\r\n")
        await reader.read()
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def ask(port, headers, held):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n")
    status = (await reader.readuntil(b"\r\n")).split()[1].decode()
    held.append(writer)
    return status


async def restarted_in_turn(max_fails, headers):
    front, one, two = free_port(), free_port(), free_port()
    config = pathlib.Path("nginx.conf").resolve()
    config.write_text(f"""
      daemon off; pid nginx.pid; worker_processes 1; error_log /dev/null;
      events {{}}
      http {{
        access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
        upstream servers {{
          server 127.0.0.1:{one} max_fails={max_fails} fail_timeout={FAIL_TIMEOUT}s;
          server 127.0.0.1:{two} max_fails={max_fails} fail_timeout={FAIL_TIMEOUT}s;
        }}
        server {{
          listen 127.0.0.1:{front};
          location / {{
            proxy_pass http://servers; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
          }}
        }}
      }}""")
    second = await asyncio.start_server(answer, "127.0.0.1", two)
    nginx = await asyncio.create_subprocess_exec("usr/sbin/nginx", "-e", "/dev/null", "-p", ".", "-c", str(config))
    held = []
    try:
        for _ in range(100):
            try:
                await ask(front, headers, held)
                break
            except OSError:
                await asyncio.sleep(0.1)
        for _ in range(4):  # the first server is away, and nginx notices
            await ask(front, headers, held)
        await asyncio.start_server(answer, "127.0.0.1", one)  # it is back
        await asyncio.sleep(3 * FAIL_TIMEOUT)
        second.close()  # and now the second one is away
        statuses = [await ask(front, headers, held) for _ in range(CLIENTS)]
        return ", ".join(f"{statuses.count(status)} get {status}" for status in sorted(set(statuses)))
    finally:
        nginx.terminate()
        await nginx.wait()
        for writer in held:
            writer.close()


async def main():
    for max_fails in (1, 0):
        for what, headers in (("short requests", b""), ("WebSockets", UPGRADE)):
            print(f"max_fails={max_fails}, {what}: {await restarted_in_turn(max_fails, headers)}")


asyncio.run(main())
PYTHON
timeout 120 python3 program.py | tee seen
diff - seen <<'SEEN' && echo "as found with nginx 1.22.1"
max_fails=1, short requests: 10 get 200
max_fails=1, WebSockets: 1 get 101, 9 get 502
max_fails=0, short requests: 10 get 200
max_fails=0, WebSockets: 10 get 101
SEEN
