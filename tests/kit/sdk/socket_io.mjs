// Holds one stock client of Socket.IO, reports what happens to its sockets as JSON lines on stdout and takes calls as JSON
// lines on stdin.
//
//   node socket_io.mjs '{"url": "http://127.0.0.1:8000", "transports": ["websocket"], "sockets": [{"namespace": "/chat"}]}'
//
// Options: url, transports, sockets (namespace, auth), more (options of the sockets besides). A call has id and do: emit
// (socket, event, args; answered with the arguments of the acknowledgement, or with an error if there is none in time),
// send (the same without an acknowledgement), transport (answered with its name), disconnect and connect (socket), cut
// (close the transport), claimed (answered with the pid and the offset of a socket), claim (socket, pid, offset: set
// them). Binary data is {"base64": "..."}. Every event but `silent` that asks for an acknowledgement is acknowledged with
// its arguments. It ends when stdin ends.
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const options = { transports: ['polling', 'websocket'], ackMilliseconds: 5000, ...JSON.parse(process.argv[2]) };

function write(object) {
  process.stdout.write(JSON.stringify(object) + '\n');
}

function encoded(value) {
  if (Buffer.isBuffer(value) || value instanceof ArrayBuffer) return { base64: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(encoded);
  if (value && typeof value === 'object') return mapped(value, encoded);
  return value ?? null;
}

function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded);
  if (value && typeof value === 'object') {
    return 'base64' in value ? Buffer.from(value.base64, 'base64') : mapped(value, decoded);
  }
  return value;
}

function mapped(object, map) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}

const sockets = options.sockets.map(({ namespace, auth }, socket) => {
  const made = io(options.url + namespace, {
    transports: options.transports, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options.more,
    auth: (give) => give(auth ?? {}),
  });
  made.on('connect', () => write({ event: 'connect', socket, id: made.id, recovered: made.recovered === true }));
  made.on('disconnect', (reason) => write({ event: 'disconnect', socket, reason }));
  made.on('connect_error', (error) => write({ event: 'connect_error', socket, message: error.message, data: error.data ?? null }));
  made.onAny((name, ...args) => {
    const acknowledge = typeof args.at(-1) === 'function' ? args.pop() : () => {};
    write({ event: 'event', socket, name, args: args.map(encoded) });
    if (name !== 'silent') acknowledge(...args);
  });
  return made;
});

const calls = {
  send: ({ socket, event, args }) => void sockets[socket].emit(event, ...args.map(decoded)),
  emit: ({ socket, event, args }) => new Promise((resolve, reject) => {
    sockets[socket].timeout(options.ackMilliseconds).emit(event, ...args.map(decoded), (error, ...answer) =>
      error ? reject(error) : resolve(answer.map(encoded)));
  }),
  transport: ({ socket }) => sockets[socket].io.engine.transport.name,
  cut: () => void sockets[0].io.engine.close(),
  claim: ({ socket, pid, offset }) => void Object.assign(sockets[socket], { _pid: pid, _lastOffset: offset }),
  claimed: ({ socket }) => [sockets[socket]._pid ?? '', sockets[socket]._lastOffset ?? ''],
  connect: ({ socket }) => void sockets[socket].connect(),
  disconnect: ({ socket }) => void sockets[socket].disconnect(),
};

const input = createInterface({ input: process.stdin });
input.on('line', async (line) => {
  const call = JSON.parse(line);
  try {
    write({ id: call.id, result: (await calls[call.do](call)) ?? null });
  } catch (error) {
    write({ id: call.id, error: String(error) });
  }
});
input.on('close', () => process.exit(0));
