#!/usr/bin/env bash
# A close frame has a code and a reason. Centrifugo's protocol says that the code decides: clients come back after 3000 to
# 3499 and 4000 to 4499, and stay away after 3500 to 3999 and 4500 to 4999. Does the reason, a text for people, change that?
# Guess: no. Found with centrifuge 5.8.0 (JavaScript): yes, in both directions. A final code with an empty reason brings the
# client back, again and again; a temporary code whose reason happens to be JSON (a number, an object such as a trace id)
# ends the client for good, because the SDK reads `code` and `reconnect` from JSON in the reason.
# Why it matters: who disconnects a banned user through an API without a reason gets a reconnect loop, and a backend that
# puts a structured reason into a rolling restart loses every browser. Give each code a reason in words.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund centrifuge@5.8.0 ws@8.18.3
cat >program.cjs <<'PROGRAM'
const { Centrifuge } = require("centrifuge");
const { WebSocket, WebSocketServer } = require("ws");

function outcome(code, reason) {
  return new Promise((resolve) => {
    let connects = 0;
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" }, () => {
      const url = `ws://127.0.0.1:${server.address().port}`;
      const client = new Centrifuge(url, { websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 50 });
      const end = (text) => {
        client.disconnect();
        server.close();
        for (const socket of server.clients) socket.terminate();
        resolve(text);
      };
      client.on("connected", () => {
        connects += 1;
        if (connects === 2) end("returns");
      });
      client.on("disconnected", () => connects < 2 && end("ends"));
      client.connect();
    });
    server.on("connection", (socket) =>
      socket.on("message", (message) => {
        const { id, connect } = JSON.parse(message.toString().split("\n")[0]);
        if (!connect) return;
        socket.send(JSON.stringify({ id, connect: { client: "c", version: "0", ping: 25, pong: true } }));
        if (connects === 0) setTimeout(() => socket.close(code, reason), 100);
      }),
    );
  });
}

(async () => {
  for (const [code, reason] of [
    [3001, "shutdown"], [3001, "12"], [3001, '{"trace":"a1"}'], [3503, "force disconnect"], [3503, ""],
  ])
    console.log(code, JSON.stringify(reason), await outcome(code, reason));
  process.exit(0);
})();
PROGRAM
timeout 60 node program.cjs | tee seen
diff - seen <<'SEEN' && echo "as found with centrifuge 5.8.0"
3001 "shutdown" returns
3001 "12" ends
3001 "{\"trace\":\"a1\"}" ends
3503 "force disconnect" ends
3503 "" returns
SEEN
