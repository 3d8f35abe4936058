// Holds N stock clients, reports what happens to them as JSON lines on stdout and takes calls as JSON lines on stdin.
//
//   node clients.mjs '{"endpoints": ["ws://..."], "clients": 2, "channels": [{"name": "chat:1", "recoverable": true}]}'
//
// Options: endpoints (client i uses endpoints[i % length]), clients, channels, tokens (one per client), askTokens (get new
// tokens from the parent: event `token`, answered by the call `token`), minReconnectDelay and maxReconnectDelay
// (milliseconds), connectsPerSecond (0: all at once), protobuf (data is JSON all the same, as bytes), transport (websocket,
// sse or http_stream; endpoints are those of websocket all the same), package (which of the installed versions), spread
// (client i subscribes to channels[i % length] alone). A channel may have recoverable, joinLeave, delta ('fossil'), token and askToken (get new ones from the parent: event
// `subscription_token`, answered by the call of that name). Times (`at`) are seconds since 1970. It ends when stdin ends.
import { createInterface } from 'node:readline';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';

const options = {
  endpoints: [], clients: 1, channels: [], tokens: [], askTokens: false,
  minReconnectDelay: 500, maxReconnectDelay: 20000, connectsPerSecond: 0, protobuf: false,
  transport: 'websocket', package: 'centrifuge', spread: false,
  ...JSON.parse(process.argv[2] ?? '{}'),
};

const { Centrifuge } = await import(options.protobuf ? `${options.package}/build/protobuf` : options.package);
const toWire = (data) => (options.protobuf ? new TextEncoder().encode(JSON.stringify(data)) : data);
const fromWire = (data) => (data instanceof Uint8Array ? parsed(data) : data ?? null);

function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') };
  }
}

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

function askToken(client, channel = '') {
  return new Promise((resolve) => {
    tokenWaiters.set(`${client} ${channel}`, resolve);
    if (channel === '') report('token', client, {});
    else report('subscription_token', client, { channel });
  });
}

function giveToken(client, channel, token) {
  tokenWaiters.get(`${client} ${channel}`)?.(token);
  tokenWaiters.delete(`${client} ${channel}`);
}

function transportOf(endpoint) {
  if (options.transport === 'websocket') return { endpoint };
  const url = new URL(endpoint.replace(/^ws/, 'http'));
  const emulationEndpoint = new URL('/emulation', url).toString();
  return { endpoint: [{ transport: options.transport, endpoint: new URL(options.transport, url).toString() }], emulationEndpoint };
}

function makeClient(index) {
  const { endpoint, ...emulation } = transportOf(options.endpoints[index % options.endpoints.length]);
  const client = new Centrifuge(endpoint, {
    ...emulation,
    websocket: WebSocket,
    eventsource: EventSource,
    token: options.tokens[index] ?? '',
    getToken: options.askTokens ? () => askToken(index) : null,
    minReconnectDelay: options.minReconnectDelay,
    maxReconnectDelay: options.maxReconnectDelay,
  });
  client.on('connecting', ({ code, reason }) => report('connecting', index, { code, reason }));
  client.on('connected', (context) => report('connected', index, { id: context.client }));
  client.on('disconnected', ({ code, reason }) => report('disconnected', index, { code, reason }));
  client.on('error', ({ error }) => report('error', index, { code: error.code ?? 0, message: error.message ?? '' }));
  reportChannels(client, index, (context) => context.channel);  // of subscriptions that the server makes
  const { channels, spread } = options;
  for (const channel of spread ? [channels[index % channels.length]] : channels) subscribe(client, index, channel);
  return client;
}

function reportChannels(emitter, index, channelOf) {
  emitter.on('subscribed', (context) => report('subscribed', index, {
    channel: channelOf(context),
    wasRecovering: context.wasRecovering,
    recovered: context.recovered,
    offset: context.streamPosition?.offset ?? null,
    epoch: context.streamPosition?.epoch ?? null,
  }));
  emitter.on('subscribing', (context) => report('subscribing', index, {
    channel: channelOf(context), code: context.code ?? 0, reason: context.reason ?? '',
  }));
  emitter.on('unsubscribed', (context) => report('unsubscribed', index, {
    channel: channelOf(context), code: context.code ?? 0, reason: context.reason ?? '',
  }));
  emitter.on('publication', (publication) => report('publication', index, {
    channel: channelOf(publication), offset: publication.offset ?? null, data: fromWire(publication.data),
  }));
  for (const event of ['join', 'leave']) {
    emitter.on(event, (context) => report(event, index, { channel: channelOf(context), info: infoOf(context.info) }));
  }
}

function infoOf({ client, user, connInfo, chanInfo }) {
  return { client, user, connInfo: fromWire(connInfo), chanInfo: fromWire(chanInfo) };
}

function subscribe(client, index, channel) {
  const { name, recoverable = false, positioned = false, joinLeave = false, delta = null, token = '', askToken: asks } = channel;
  const known = client.getSubscription(name);
  if (known !== null) {
    known.subscribe();
    return;
  }
  const wanted = {
    recoverable, positioned, joinLeave, token,
    getToken: asks ? () => askToken(index, name) : null,
    minResubscribeDelay: options.minReconnectDelay,
    maxResubscribeDelay: options.maxReconnectDelay,
  };
  const subscription = client.newSubscription(name, delta ? { ...wanted, delta } : wanted);
  reportChannels(subscription, index, () => name);
  subscription.on('error', ({ error }) => report('error', index, { code: error.code, message: error.message, channel: name }));
  subscription.subscribe();
}

const calls = {
  connect: (client) => client.connect(),
  disconnect: (client) => client.disconnect(),
  subscribe: (client, { channel, ...wanted }, index) => subscribe(client, index, { name: channel, ...wanted }),
  unsubscribe: (client, { channel }) => client.getSubscription(channel).unsubscribe(),
  publish: (client, { channel, data }) => client.publish(channel, toWire(data)),
  presence: async (client, { channel }) => presenceOf(await client.presence(channel)),
  presence_stats: (client, { channel }) => client.presenceStats(channel),
  history: async (client, { channel, ...history }) => historyOf(await client.history(channel, history)),
  rpc: async (client, { method, data }) => ({ data: fromWire((await client.rpc(method, toWire(data))).data) }),
  extensions: (client) => ({ extensions: client._transport._transport.extensions }),  // of its WebSocket
  delta_stats: (client, { channel }) => client.getSubscription(channel).deltaStats(),
  token: (client, { token }, index) => giveToken(index, '', token),
  subscription_token: (client, { channel, token }, index) => giveToken(index, channel, token),
};

function presenceOf({ clients }) {
  return { clients: Object.fromEntries(Object.entries(clients).map(([id, info]) => [id, infoOf(info)])) };
}

function historyOf({ publications, ...position }) {
  return { publications: publications.map((one) => ({ ...one, data: fromWire(one.data) })), ...position };
}

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
