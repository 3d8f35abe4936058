#!/usr/bin/env bash
# A Socket.IO client polls, as behind a proxy without WebSocket, and emits an event to a server that acknowledges it at
# once. How long until it has the acknowledgement, when the server pings every 4 s?
# Guess: some milliseconds, with socket.io-client and with Go's client. Found with the server and socket.io-client 4.8.4,
# and github.com/zishang520/socket.io/clients/socket/v3 v3.0.6: milliseconds, and up to 4 s. Go's client queues a POST
# behind the GET that waits, so it sends nothing until the server has something for it, its next ping at the latest.
# Why it matters: with the default of 25 s such a client works, slowly, and acknowledgements run into their timeouts;
# it looks like a slow server. With an upgrade to WebSocket it does not show.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund socket.io@4.8.4 socket.io-client@4.8.4 >/dev/null

cat >server.cjs <<'JS'
const { Server } = require("socket.io");
const io = new Server(21181, { pingInterval: 4000 });
io.on("connection", (socket) => socket.on("hello", (acknowledge) => acknowledge()));
JS
cat >client.cjs <<'JS'
const { io } = require("socket.io-client");
const socket = io("http://127.0.0.1:21181", { transports: ["polling"] });
socket.on("connect", () => setTimeout(() => {
  const began = Date.now();
  socket.emit("hello", () => { console.log(Date.now() - began); process.exit(0); });
}, 500));
JS
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/zishang520/socket.io/clients/engine/v3/transports"
	"github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

func main() {
	options := socket.DefaultOptions()
	options.SetTransports(types.NewSet(transports.Polling))
	client, err := socket.Connect("http://127.0.0.1:21181", options)
	if err != nil {
		panic(err)
	}
	client.On("connect", func(...any) {
		go func() {
			time.Sleep(500 * time.Millisecond)
			began := time.Now()
			client.EmitWithAck("hello")(func([]any, error) {
				fmt.Println(time.Since(began).Milliseconds())
				os.Exit(0)
			})
		}()
	})
	select {}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/zishang520/socket.io/clients/socket/v3@v3.0.6 github.com/zishang520/socket.io/clients/engine/v3@v3.0.6 \
  github.com/zishang520/socket.io/v3@v3.0.6 >/dev/null 2>&1
go build -o client .

node server.cjs &
sleep 1
javascript=$(timeout 30 node client.cjs)
go=$(timeout 30 ./client)
echo "acknowledged after: socket.io-client $javascript ms, Go's client $go ms"
((javascript < 1000 && go > 2000))
