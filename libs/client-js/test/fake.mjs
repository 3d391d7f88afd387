// A gateway for tests: a real HTTP server whose answers a test decides.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from '../dist/gateway-client.js';

export async function fake(t, answers = {}) {
  const self = {
    answers, streams: [], starts: [], asked: [], opened: [], requests: [], pending: [], client: 'c1', id: (n) => `e-${n}-c1`,
    /** A frame on every open stream. */
    send(method, params, id) {
      for (const s of self.streams) s.write(`${id ? `id: ${id}\n` : ''}event: ${method}\ndata: ${JSON.stringify({ jsonrpc: '2.0', method, params })}\n\n`);
    },
    cut() { for (const s of self.streams.splice(0)) s.destroy(); },
    /** Waits until a condition holds, and fails when it does not within half a minute. */
    async until(condition) {
      const end = performance.now() + 30_000;
      while (!condition()) {
        if (performance.now() > end) throw new Error(`not within 30 s: ${condition}`);
        await new Promise((r) => { setTimeout(r, 5); });
      }
    },
  };
  const json = (res, status, body, headers = {}) => {
    res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  self.json = json;
  const server = createServer(async (req, res) => {
    let text = '';
    for await (const part of req) text += part;
    const body = text ? JSON.parse(text) : null;
    self.requests.push({ method: req.method, url: req.url, headers: req.headers, body });
    const path = req.url.split('?')[0];
    if (answers[path]?.(req, res, body)) return;
    if (path === '/events') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const result = {
        protocolVersion: '2024-11-05', serverInfo: { name: 'noetl-gateway', version: '1' }, clientId: self.client,
        capabilities: { playbooks: true, callbacks: true, subscriptions: false, playbookState: true },
        ...(self.pending.length > 0 && { pendingRequests: self.pending }),
      };
      res.write(`id: ${req.headers['last-event-id'] ?? self.id('s0')}\nevent: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', id: 1, result })}\n\n`);
      if (answers.opened) answers.opened(req, res);
      self.streams.push(res);
    } else if (path === '/api/subscriptions' && req.method === 'POST') {
      self.opened.push(`s${self.opened.length + 1}`);
      json(res, 200, { subscription_id: self.opened.at(-1), ...body });
    } else if (path.startsWith('/api/subscriptions/')) {
      res.writeHead(204).end();
    } else if (path === '/graphql' && body.query.startsWith('mutation')) {
      self.starts.push(body.variables);
      json(res, 200, { data: { executePlaybook: { executionId: '11' } } });
    } else if (path === '/graphql') {
      self.asked.push(body.variables.id);
      json(res, 200, { data: { execution: self.execution ?? null } });
    } else {
      json(res, 404, { error: 'unknown', code: 'not_found' });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  self.url = `http://127.0.0.1:${server.address().port}`;
  const gateways = [];
  self.connect = (options = {}) => {
    const gateway = connect({ url: self.url, session: 'token', ...options });
    gateways.push(gateway);
    return gateway;
  };
  t.after(() => {
    for (const gateway of gateways) gateway.close();
    server.closeAllConnections();
    server.close();
  });
  return self;
}

/** Storage in memory, at most so many characters. */
export function memory(limit = Infinity) {
  const items = new Map();
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem(key, value) {
      if (value.length > limit) throw new DOMException('full', 'QuotaExceededError');
      items.set(key, value);
    },
    removeItem: (key) => { items.delete(key); },
  };
}
