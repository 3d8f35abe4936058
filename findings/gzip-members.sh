#!/usr/bin/env bash
# A response whose gzip body has several members (RFC 1952, 2.2: a gzip file is a series of members), one for each piece
# that the server flushes: which HTTP clients of Python read all of it?
# Guess: all do, or fail. Found: aiohttp 3.13.5 and httpx 0.28.1 return the first member with status 200 and no error;
# aiohttp 3.14.0 and requests 2.34.2 return everything.
# Why it matters: servers that compress each event of a watch or each page of a list by itself send such bodies. An
# operator, an exporter or a hook that reads them with one of the former acts on a part of the list and does not know it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 3.13.5 3.14.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "aiohttp==$version" httpx==0.28.1 requests==2.34.2
done

cat >"$folder/read.py" <<'PYTHON'
import asyncio
import gzip
import socket
import threading

import aiohttp
import httpx
import requests

PIECES = (b'{"n": 1}\n', b'{"n": 2}\n')


def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        for piece in map(gzip.compress, PIECES):
            connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        connection.close()


async def with_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.read()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
whole = b"".join(PIECES)
status, body = asyncio.run(with_aiohttp(url))
print(f"aiohttp {aiohttp.__version__}: {status}, {len(body)} of {len(whole)} bytes")
answer = httpx.Client(trust_env=False).get(url)
print(f"httpx {httpx.__version__}: {answer.status_code}, {len(answer.content)} of {len(whole)} bytes")
session = requests.Session()
session.trust_env = False
answer = session.get(url)
print(f"requests {requests.__version__}: {answer.status_code}, {len(answer.content)} of {len(whole)} bytes")
PYTHON

seen=$(for version in 3.13.5 3.14.0; do "$folder/$version/bin/python" "$folder/read.py"; done)
echo "$seen"
diff <(echo "$seen") - <<'EXPECTED'
aiohttp 3.13.5: 200, 9 of 18 bytes
httpx 0.28.1: 200, 9 of 18 bytes
requests 2.34.2: 200, 18 of 18 bytes
aiohttp 3.14.0: 200, 18 of 18 bytes
httpx 0.28.1: 200, 9 of 18 bytes
requests 2.34.2: 200, 18 of 18 bytes
EXPECTED
echo "as found"
