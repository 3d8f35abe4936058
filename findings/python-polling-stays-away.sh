#!/usr/bin/env bash
# A Socket.IO server is restarted: io.close(), and another one on the same port. Which clients come back by themselves?
# Guess: all four, socket.io-client and python-socketio, by WebSocket and by polling: both reconnect after a lost
# transport by default. Found with the server 4.8.4, socket.io-client 4.8.4 and python-socketio 5.18.1 (python-engineio
# 4.15.1): the Python client that polls stays away for good. The server answers its poll with the packet CLOSE, which
# the JavaScript client takes as the end of the transport, and python-engineio as a disconnect that was wanted.
# Why it matters: every rollout of a server that closes politely loses its Python clients behind proxies without
# WebSocket, until their processes are restarted, and nothing in them fails. End polls by refusing the next one instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  python-socketio==5.18.1 python-engineio==4.15.1 aiohttp==3.14.5
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund socket.io@4.8.4 socket.io-client@4.8.4 >/dev/null

cat >server.cjs <<'JS'
const { Server } = require("socket.io");
const io = new Server(21180);
io.on("connection", (socket) => console.log("connected", socket.handshake.auth.name));
process.on("SIGTERM", () => io.close(() => process.exit(0)));
console.log("listens");
JS
cat >client.cjs <<'JS'
const { io } = require("socket.io-client");
const transport = process.argv[2];
io("http://127.0.0.1:21180", { transports: [transport], auth: { name: `js-${transport}` } });
JS
cat >client.py <<'PYTHON'
import asyncio
import sys

import socketio

transport = sys.argv[1]


async def main() -> None:
    client = socketio.AsyncClient(logger=False)
    await client.connect("http://127.0.0.1:21180", transports=[transport], auth={"name": f"py-{transport}"})
    await asyncio.sleep(60)


asyncio.run(main())
PYTHON
cat >play.py <<'PYTHON'
import subprocess
import sys
import threading
import time

CLIENTS = {"js-websocket", "js-polling", "py-websocket", "py-polling"}
running = []


def start(*command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    running.append(process)
    return process


def serve():
    """Start a server; return it, and the names of the clients that connect from now on."""
    process, connected, listens = start("node", "server.cjs"), set(), threading.Event()

    def read():
        for line in process.stdout:
            word, _, name = line.strip().partition(" ")
            connected.add(name) if word == "connected" else listens.set()

    threading.Thread(target=read, daemon=True).start()
    assert listens.wait(20)
    return process, connected


def until(fact, seconds):
    end = time.monotonic() + seconds
    while not fact() and time.monotonic() < end:
        time.sleep(0.1)


try:
    server, first = serve()
    for transport in ("websocket", "polling"):
        start("node", "client.cjs", transport)
        start(sys.executable, "client.py", transport)
    until(lambda: first == CLIENTS, 20)
    assert first == CLIENTS, first
    server.terminate()
    server.wait(10)
    server, second = serve()
    until(lambda: second == CLIENTS, 25)
    print("come back:", *sorted(second))
    print("stay away:", *sorted(CLIENTS - second))
    assert CLIENTS - second == {"py-polling"}
finally:
    for process in running:
        process.kill()
PYTHON
"$folder/venv/bin/python" play.py
