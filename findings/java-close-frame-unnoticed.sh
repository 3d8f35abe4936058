#!/usr/bin/env bash
# A Socket.IO server stops with io.close(), which ends its WebSockets with a close frame. When do its clients notice?
# Guess: at once, socket.io-client and the client for Java: the frame is there, and then the socket is closed. Found with
# the server and socket.io-client 4.8.4, and io.socket:socket.io-client 2.1.2 for Java (OkHttp 3.12.12): the Java client
# notices nothing until pings are missing, pingInterval + pingTimeout after the last one: 6 s here, 45 s by default.
# OkHttp stops reading at a close frame, and waits for the application to close too; the client only listens to the end
# of both. Not even the end of the TCP connection is noticed any more.
# Why it matters: clients for Android are away for most of a minute after each restart of a server that closes politely,
# while those of a killed one are back at once. End the stream without the frame instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund socket.io@4.8.4 socket.io-client@4.8.4 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>0</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>io.socket</groupId>
      <artifactId>socket.io-client</artifactId>
      <version>2.1.2</version>
    </dependency>
  </dependencies>
</project>
XML
mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime \
  -DoutputDirectory=jars >/dev/null

cat >server.cjs <<'JS'
const { Server } = require("socket.io");
const io = new Server(21182, { pingInterval: 3000, pingTimeout: 3000 });
let count = 0;
io.on("connection", () => {
  if (++count === 2) setTimeout(() => { console.log("closes", Date.now()); io.close(); }, 500);
});
setTimeout(() => process.exit(0), 20000);
JS
cat >client.cjs <<'JS'
const { io } = require("socket.io-client");
const socket = io("http://127.0.0.1:21182", { transports: ["websocket"] });
socket.on("disconnect", (reason) => { console.log("javascript", Date.now(), reason); process.exit(0); });
JS
cat >Client.java <<'JAVA'
import io.socket.client.IO;
import io.socket.client.Socket;

public final class Client {
    public static void main(String[] arguments) throws Exception {
        IO.Options options = new IO.Options();
        options.transports = new String[] {"websocket"};
        Socket socket = IO.socket("http://127.0.0.1:21182", options);
        socket.on(Socket.EVENT_DISCONNECT, args -> {
            System.out.println("java " + System.currentTimeMillis() + " " + args[0]);
            System.exit(0);
        });
        socket.connect();
    }
}
JAVA
javac -cp 'jars/*' Client.java

node server.cjs >server.log &
sleep 1
node client.cjs >javascript.log &
javascript=$!
java -cp 'jars/*:.' Client >java.log &
java=$!
wait "$javascript" "$java"
read -r _ closed <server.log
read -r _ first reason <javascript.log
read -r _ second other <java.log
echo "noticed after: socket.io-client $((first - closed)) ms ($reason), the client for Java $((second - closed)) ms ($other)"
((first - closed < 1000 && second - closed > 2000))
[[ $other == "ping timeout" ]]
