#!/usr/bin/env bash
# A backend emits with python-socketio's RedisManager(write_only=True), and the server has another version of the same
# library: what do clients get? Guess: messages between versions are compatible, or refused with an error. Found with a
# server 5.18.1: from 5.13.0 nothing arrives, and the server logs nothing, not even with logger=True: 5.13 writes pickles,
# 5.14 and later read JSON only and drop what is none. From 5.15.0 a list arrives as several arguments, because 5.16
# puts data into a list, and takes a list for its own.
# Why it matters: update emitters and servers together; between them the version is a part of the format.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$redis" 2>/dev/null; rm -rf "$folder"' EXIT
for version in 5.13.0 5.15.0 5.18.1; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "python-socketio==$version" redis==7.1.0 aiohttp==3.13.2
done
redis-server --port 21110 --save '' --dir "$folder" >/dev/null &
redis=$!

cat >"$folder/emit.py" <<'PYTHON'
import sys

import socketio

manager = socketio.RedisManager("redis://127.0.0.1:21110", write_only=True)
manager.emit("one", {"from": sys.argv[1]})
manager.emit("list", [1, 2])
manager.emit("end", sys.argv[1])
PYTHON

cat >"$folder/observe.py" <<'PYTHON'
import asyncio
import io
import logging
import sys

import socketio
from aiohttp import web

FOLDER = sys.argv[1]
logged = io.StringIO()
logger = logging.getLogger("server")
logger.setLevel(logging.WARNING)
logger.addHandler(logging.StreamHandler(logged))


async def main():
    manager = socketio.AsyncRedisManager("redis://127.0.0.1:21110")
    server = socketio.AsyncServer(client_manager=manager, logger=logger)
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 21111).start()
    client, got = socketio.AsyncClient(), []
    client.on("*", lambda name, *args: got.append((name, args)))
    await client.connect("http://127.0.0.1:21111", transports=["websocket"])
    await asyncio.sleep(1)
    for version in ("5.13.0", "5.15.0", "5.18.1"):
        process = await asyncio.create_subprocess_exec(f"{FOLDER}/{version}/bin/python", f"{FOLDER}/emit.py", version)
        await process.wait()
        await asyncio.sleep(1)
        print(version, got)
        expected = {
            "5.13.0": [],
            "5.15.0": [("one", ({"from": version},)), ("list", (1, 2)), ("end", (version,))],
            "5.18.1": [("one", ({"from": version},)), ("list", ([1, 2],)), ("end", (version,))],
        }[version]
        assert got == expected, got
        got.clear()
    assert logged.getvalue() == "", logged.getvalue()
    await client.disconnect()
    await runner.cleanup()


asyncio.run(main())
PYTHON
"$folder/5.18.1/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.13.2
timeout 60 "$folder/5.18.1/bin/python" "$folder/observe.py" "$folder"
echo "as documented"
