// Socket.IO of npm: node socketio_peer.mjs PORT SECRET [REDIS_URL]
//
// As it is meant to be used, with its defaults: polling and WebSocket, a room for each channel, a broadcast for each
// publication. With Redis, servers are connected by the Redis adapter.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { verify } from './token.mjs';

const [port, secret, redis] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, { serveClient: false });
if (redis) {
  const clients = [createClient({ url: redis }), createClient({ url: redis })];
  await Promise.all(clients.map((client) => client.connect()));
  io.adapter(createAdapter(...clients));
}

io.use((socket, next) => {
  try {
    socket.data.user = verify(socket.handshake.auth.token, secret);
    next();
  } catch (error) {
    next(error);
  }
});
io.on('connection', (socket) => {
  socket.on('subscribe', (channel, done) => {
    socket.join(channel);
    done();
  });
  socket.on('publish', (channel, event, data, done) => {
    io.to(channel).emit(event, data);
    done();
  });
});
http.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 });
