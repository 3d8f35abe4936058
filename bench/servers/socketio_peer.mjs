// Socket.IO of npm: node socketio_peer.mjs PORT SECRET
//
// Speaks its own protocol, as it is meant to be used: a room for each channel, a broadcast for each publication.
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { verify } from './token.mjs';

const [port, secret] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, { transports: ['websocket'], serveClient: false, pingInterval: 25_000 });

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
  socket.on('publish', (channel, data, done) => {
    io.to(channel).emit('pub', data);
    done();
  });
});
http.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 });
