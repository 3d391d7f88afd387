// npm graphql-ws, subscribed to the caller's frames. A retry subscribes with what was seen last.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { TARGET, bearer, orders, say } from './lib.mjs';

const client = createClient({
  url: TARGET,
  webSocketImpl: WebSocket,
  connectionParams: bearer(),
  retryAttempts: 5,
  retryWait: () => new Promise((done) => setTimeout(done, 100)),
  on: {
    connected: () => say('open'),
    closed: (e) => say('close', { code: e.code, text: e.reason }),
  },
});
const payload = {
  query: 'subscription Frames($c: String, $l: String) { frames(clientId: $c, lastEventId: $l) { id method params } }',
  variables: { c: null, l: null },
};
client.subscribe(payload, {
  next: ({ data, errors }) => {
    if (errors) {
      say('error', { text: JSON.stringify(errors) });
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
  if ('close' in order) client.dispose();
});
