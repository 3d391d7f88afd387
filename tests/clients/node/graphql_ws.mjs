// npm graphql-ws, subscribed to the caller's frames. A retry subscribes with what was seen last. What
// the client would never do itself is an order {send}, or a setting: EARLY is sent before anything
// else, MUTE drops what the client sends, QUERY is asked instead, KEEP_ALIVE makes it send pings, with
// STAY it stays connected when its subscription has ended.
import { CloseCode, createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { TARGET, bearer, orders, say } from './lib.mjs';

const { EARLY, MUTE, QUERY, KEEP_ALIVE, STAY } = process.env;

class Spoilt extends WebSocket {
  constructor(...args) {
    super(...args);
    if (EARLY) this.once('open', () => super.send(EARLY));
  }

  send(...args) {
    if (!MUTE) super.send(...args);
  }
}

let socket;
const client = createClient({
  url: TARGET,
  webSocketImpl: Spoilt,
  connectionParams: bearer(),
  keepAlive: Number(KEEP_ALIVE ?? 0),
  lazy: !STAY,
  onNonLazyError: () => {},
  retryAttempts: 5,
  retryWait: () => new Promise((done) => setTimeout(done, 100)),
  on: {
    connected: (s) => {
      socket = s;
      say('open');
    },
    pong: () => say('pong'),
    closed: (e) => say('close', { code: e.code, text: e.reason, event: CloseCode[e.code] ?? '' }),
  },
});
const frames = 'subscription Frames($c: String, $l: String) { frames(clientId: $c, lastEventId: $l) { id method params } }';
const payload = {
  query: QUERY ?? frames,
  variables: QUERY ? {} : { c: null, l: null },
};
client.subscribe(payload, {
  next: ({ data, errors }) => {
    if (errors) {
      say('error', { text: JSON.stringify(errors) });
      return;
    }
    if (!data.frames) {
      say('answer', { data });
      return;
    }
    const { id, method, params } = data.frames;
    if (method === 'initialized') {
      say('request', { id: payload.variables.l ?? '' });
      payload.variables.c = params.clientId;
    }
    if (id) payload.variables.l = id;
    say('event', { event: method, id: id ?? '', data: { params } });
  },
  error: (err) => say('failed', { text: JSON.stringify(err), code: err.code ?? 0 }),
  complete: () => say('done'),
});
orders((order) => {
  if ('send' in order) socket.send(order.send);
  if ('close' in order) client.dispose();
});
