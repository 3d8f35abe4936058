#!/usr/bin/env bash
# Connections that the kernel has completed, or that asyncio has even accepted, when a graceful stop closes the listener
# of a busy Python server: are they answered?
# Guess: asyncio looks at its sockets before its timers, so what is in the queue is accepted and answered; with uvloop as
# well. Found: neither answers. uvloop 0.22.1 runs its timers first: it answers one, and the kernel resets the rest of
# the queue. asyncio accepts all, then fails for each of them (`Server._attach` after `Server.close`) and only logs it:
# they are neither answered nor closed, so the clients wait for ever. The same with Python 3.11.7, 3.12.1 and 3.13.0.
# Why it matters: "stop accepting, wait, exit" on SIGTERM is how servers of a fleet are replaced. The clients that
# connect at that moment get a reset, or hang until their own timeout. Keep new connections out first (a socket filter
# that drops SYNs, or the load balancer), and close the listener when its queue has been empty for a while.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.22.1

cat >"$folder/stop.py" <<'PYTHON'
import asyncio
import socket
import sys
import time
from collections import Counter

import uvloop

CLIENTS = 16


def outcome(client):
    try:
        return "answered" if client.recv(16) == b"hello" else "closed without an answer"
    except ConnectionResetError:
        return "reset"
    except BlockingIOError:
        return "open without an answer"


async def stop_while_busy():
    async def greet(_, writer):
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    await asyncio.sleep(0.01)
    asyncio.get_running_loop().call_later(0.05, server.close)
    await asyncio.sleep(0)
    clients = [socket.create_connection(address) for _ in range(CLIENTS)]
    time.sleep(0.1)  # another callback keeps the loop busy
    await asyncio.sleep(2)
    for client in clients:
        client.setblocking(False)
    return Counter(outcome(client) for client in clients)


results = {"asyncio": asyncio.run(stop_while_busy()), "uvloop": uvloop.run(stop_while_busy())}
print("Python", sys.version.split()[0])
for name, counts in results.items():
    print(f"{name}:", ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
assert results["asyncio"]["answered"] == 0, "asyncio answers some now"
assert results["uvloop"]["reset"] > 0, "uvloop resets none now"
PYTHON
"$folder/venv/bin/python" "$folder/stop.py" 2>/dev/null
# Seen:
# Python 3.11.7
# asyncio: 16 open without an answer
# uvloop: 1 answered, 15 reset
