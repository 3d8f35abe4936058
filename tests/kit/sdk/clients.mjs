// Holds N stock clients, reports what happens to them as JSON lines on stdout and takes calls as JSON lines on stdin.
//
//   node clients.mjs '{"endpoints": ["ws://..."], "clients": 2, "channels": [{"name": "chat:1", "recoverable": true}]}'
//
// Options: endpoints (client i uses endpoints[i % length]), clients, channels, tokens (one per client), askTokens (get new
// tokens from the parent: event `token`, answered by the call `token`), minReconnectDelay and maxReconnectDelay
// (milliseconds), connectsPerSecond (0: all at once). Times (`at`) are seconds since 1970. It ends when stdin ends.
import { createInterface } from 'node:readline';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const options = {
  endpoints: [], clients: 1, channels: [], tokens: [], askTokens: false,
  minReconnectDelay: 500, maxReconnectDelay: 20000, connectsPerSecond: 0,
  ...JSON.parse(process.argv[2] ?? '{}'),
};

let lines = [];

function write(object) {
  if (lines.length === 0) {
    setImmediate(() => {
      process.stdout.write(lines.join('\n') + '\n');
      lines = [];
    });
  }
  lines.push(JSON.stringify(object));
}

function report(event, client, fields) {
  write({ event, client, at: (performance.timeOrigin + performance.now()) / 1000, ...fields });
}

const tokenWaiters = new Map();

function askToken(client) {
  return new Promise((resolve) => {
    tokenWaiters.set(client, resolve);
    report('token', client, {});
  });
}

function makeClient(index) {
  const client = new Centrifuge(options.endpoints[index % options.endpoints.length], {
    websocket: WebSocket,
    token: options.tokens[index] ?? '',
    getToken: options.askTokens ? () => askToken(index) : null,
    minReconnectDelay: options.minReconnectDelay,
    maxReconnectDelay: options.maxReconnectDelay,
  });
  client.on('connecting', ({ code, reason }) => report('connecting', index, { code, reason }));
  client.on('connected', (context) => report('connected', index, { id: context.client }));
  client.on('disconnected', ({ code, reason }) => report('disconnected', index, { code, reason }));
  client.on('error', ({ error }) => report('error', index, { code: error.code ?? 0, message: error.message ?? '' }));
  for (const channel of options.channels) subscribe(client, index, channel);
  return client;
}

function subscribe(client, index, { name, recoverable = false, positioned = false }) {
  const known = client.getSubscription(name);
  if (known !== null) {
    known.subscribe();
    return;
  }
  const subscription = client.newSubscription(name, { recoverable, positioned });
  subscription.on('subscribing', ({ code, reason }) => report('subscribing', index, { channel: name, code, reason }));
  subscription.on('subscribed', (context) => report('subscribed', index, {
    channel: name,
    wasRecovering: context.wasRecovering,
    recovered: context.recovered,
    offset: context.streamPosition?.offset ?? null,
    epoch: context.streamPosition?.epoch ?? null,
  }));
  subscription.on('unsubscribed', ({ code, reason }) => report('unsubscribed', index, { channel: name, code, reason }));
  subscription.on('publication', (publication) => report('publication', index, {
    channel: name, offset: publication.offset ?? null, data: publication.data,
  }));
  subscription.on('error', ({ error }) => report('error', index, { code: error.code, message: error.message, channel: name }));
  subscription.subscribe();
}

const calls = {
  connect: (client) => client.connect(),
  disconnect: (client) => client.disconnect(),
  subscribe: (client, { channel, recoverable }, index) => subscribe(client, index, { name: channel, recoverable }),
  unsubscribe: (client, { channel }) => client.getSubscription(channel).unsubscribe(),
  publish: (client, { channel, data }) => client.publish(channel, data),
  presence: (client, { channel }) => client.presence(channel),
  presence_stats: (client, { channel }) => client.presenceStats(channel),
  history: (client, { channel, ...history }) => client.history(channel, history),
  rpc: (client, { method, data }) => client.rpc(method, data),
  token: (client, { token }, index) => {
    tokenWaiters.get(index)?.(token);
    tokenWaiters.delete(index);
  },
};

const clients = Array.from({ length: options.clients }, (_, index) => makeClient(index));

async function take({ call, client, method, params }) {
  try {
    const result = await calls[method](clients[client], params ?? {}, client);
    write({ event: 'reply', call, result: result ?? {} });
  } catch (error) {
    write({ event: 'reply', call, error: { code: error.code ?? 0, message: error.message ?? String(error) } });
  }
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => take(JSON.parse(line)));
input.on('close', () => {
  for (const client of clients) client.disconnect();
  setImmediate(() => process.exit(0));
});

clients.forEach((client, index) => {
  if (options.connectsPerSecond === 0) client.connect();
  else setTimeout(() => client.connect(), (1000 * index) / options.connectsPerSecond);
});
