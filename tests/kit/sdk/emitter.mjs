// Emits as a backend in Node.js does, over Redis; takes calls as JSON lines on stdin, and answers each with a JSON line on
// stdout when Redis has it. The first line, with the id 0, says that it is connected.
//
//   node emitter.mjs '{"kind": "emitter", "urls": ["redis://127.0.0.1:6379"]}'
//
// Kinds: emitter (@socket.io/redis-emitter), streams (a Socket.IO server without clients, with
// @socket.io/redis-streams-adapter, which writes as @socket.io/redis-streams-emitter does). Several URLs are those of a
// Redis Cluster; `options` are those of the emitter. A call has id and do: emit (event, args), socketsJoin (args),
// socketsLeave (args), disconnectSockets (args), serverSideEmit (args); and namespace, to, except, for emit volatile. Binary
// data is {"base64": "..."}, a date {"date": milliseconds}. It ends when stdin ends.
import { createClient, createCluster } from '@redis/client';
import { Emitter } from '@socket.io/redis-emitter';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import { createInterface } from 'node:readline';
import { Server } from 'socket.io';

const { kind, urls, options } = JSON.parse(process.argv[2]);
const client = urls.length > 1 ? createCluster({ rootNodes: urls.map((url) => ({ url })) }) : createClient({ url: urls[0] });
client.on('error', () => {}); // it connects again by itself
await client.connect();

const written = [];
for (const name of ['publish', 'xAdd']) {
  const write = client[name].bind(client);
  client[name] = (...args) => {
    written.push(write(...args));
    return written.at(-1);
  };
}

const io = kind === 'emitter' ? new Emitter(client, options) : new Server({ adapter: createAdapter(client, options) });

function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded);
  if (value && typeof value === 'object') {
    if ('base64' in value) return Buffer.from(value.base64, 'base64');
    if ('date' in value) return new Date(value.date);
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, decoded(one)]));
  }
  return value;
}

console.log(JSON.stringify({ id: 0 }));
for await (const line of createInterface({ input: process.stdin })) {
  const call = JSON.parse(line);
  let target = io.of(call.namespace);
  if (call.to.length) target = target.to(call.to);
  if (call.except.length) target = target.except(call.except);
  if (call.volatile) target = target.volatile;
  if (call.do === 'emit') target.emit(call.event, ...decoded(call.args));
  else target[call.do](...call.args);
  const results = await Promise.allSettled(written.splice(0));
  const failed = results.find((one) => one.status === 'rejected');
  console.log(JSON.stringify({ id: call.id, ...(failed && { error: String(failed.reason) }) }));
}
process.exit();
