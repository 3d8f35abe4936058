// `ws` of npm: node ws_peer.mjs PORT SECRET
//
// Speaks as much of Centrifugo's client protocol as the scenarios need. No compression; a publication is encoded once.
import { WebSocketServer } from 'ws';
import { verify } from './token.mjs';

const [port, secret] = process.argv.slice(2);
const channels = new Map();

function answer(socket, command) {
  if (command.connect) {
    return { id: command.id, connect: { client: verify(command.connect.token, secret), version: 'peer' } };
  }
  if (command.publish) {
    const { channel, data } = command.publish;
    const subscribers = channels.get(channel);
    if (subscribers) {
      const push = Buffer.from(JSON.stringify({ push: { channel, pub: { data } } }));
      for (const subscriber of subscribers) subscriber.send(push, { binary: false });
    }
    return { id: command.id, publish: {} };
  }
  const { channel } = command.subscribe;
  if (!channels.has(channel)) channels.set(channel, new Set());
  channels.get(channel).add(socket);
  return { id: command.id, subscribe: {} };
}

const options = { host: '127.0.0.1', port: Number(port), perMessageDeflate: false, backlog: 4096 };
new WebSocketServer(options).on('connection', (socket) => {
  socket.on('message', (message) => {
    const lines = message.toString().split('\n');
    socket.send(lines.map((line) => JSON.stringify(answer(socket, JSON.parse(line)))).join('\n'));
  });
  socket.on('close', () => {
    for (const subscribers of channels.values()) subscribers.delete(socket);
  });
});
