// `ws` of npm: node ws_peer.mjs PORT SECRET FOLDER_WITH_NODE_MODULES
//
// Speaks as much of Centrifugo's client protocol as the scenarios need. No compression; a publication is encoded once.
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';

const [port, secret, modules] = process.argv.slice(2);
const { WebSocketServer } = createRequire(`${modules}/`)('ws');
const subscribers = new Set();

function verify(token) {
  const [header, payload, signature] = token.split('.');
  const expected = createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url');
  if (signature !== expected) throw new Error('invalid token');
  return JSON.parse(Buffer.from(payload, 'base64url')).sub;
}

function answer(socket, command) {
  if (command.connect) return { id: command.id, connect: { client: verify(command.connect.token), version: 'peer' } };
  if (command.publish) {
    const { channel, data } = command.publish;
    const push = Buffer.from(JSON.stringify({ push: { channel, pub: { data } } }));
    for (const subscriber of subscribers) subscriber.send(push, { binary: false });
    return { id: command.id, publish: {} };
  }
  subscribers.add(socket);
  return { id: command.id, subscribe: {} };
}

const options = { host: '127.0.0.1', port: Number(port), perMessageDeflate: false, backlog: 4096 };
new WebSocketServer(options).on('connection', (socket) => {
  socket.on('message', (message) => {
    const lines = message.toString().split('\n');
    socket.send(lines.map((line) => JSON.stringify(answer(socket, JSON.parse(line)))).join('\n'));
  });
  socket.on('close', () => subscribers.delete(socket));
});
