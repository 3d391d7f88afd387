// Gateways that misbehave, and callers that make mistakes.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test as bare } from 'node:test';
import { connect, ExpiredError, GatewayError, UnavailableError } from '../dist/gateway-client.js';
import { fake } from './fake.mjs';

// What is wrong here may also hang.
const test = (name, run) => bare(name, { timeout: 60_000 }, run);

const ID = '0b6a1f0e-8c54-4f0e-9d52-0a4b5f3ce0aa';
const result = (requestId, data) => ({ requestId, executionId: '11', status: 'COMPLETED', data });

test('a second run with the request id of one that is not over is refused, and the first gets its result', async (t) => {
  const g = await fake(t);
  const gateway = g.connect();
  const first = gateway.run('p', { n: 1 }, { requestId: ID });
  const second = gateway.run('q', { n: 2 }, { requestId: ID });
  await assert.rejects(second, (e) => e instanceof GatewayError && e.code === 'request_exists' && e.status === 409);
  await first.started;
  g.send('playbook/result', result(ID, 'of the first'), g.id(1));
  assert.equal(await first, 'of the first');
  assert.deepEqual(g.starts.map((s) => s.name), ['p']);
});

test('a page over plain HTTP, without crypto.randomUUID, can connect and run', async (t) => {
  Object.defineProperty(crypto, 'randomUUID', { value: undefined, configurable: true });
  t.after(() => delete crypto.randomUUID);
  const g = await fake(t);
  const run = g.connect().run('p');
  await run.started;
  assert.match(run.requestId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  g.send('playbook/result', result(run.requestId, 1), g.id(1));
  assert.equal(await run, 1);
});

test('a redirect to another host gets neither token nor variables, and is not believed', async (t) => {
  const seen = [];
  const other = createServer((req, res) => {
    seen.push(`${req.method} ${req.url}`);
    res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"data":{"execution":{"executionId":"evil"}}}');
  });
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => { other.closeAllConnections(); other.close(); });
  const elsewhere = (req, res) => {
    res.writeHead(307, { Location: `http://127.0.0.1:${other.address().port}${req.url}` }).end();
    return true;
  };
  const g = await fake(t);
  const gateway = g.connect();
  await gateway.ready;
  g.answers['/graphql'] = elsewhere;
  await assert.rejects(gateway.execution('1'), UnavailableError);
  const large = g.connect().run('p', {}, { timeout: 1000 });
  await assert.rejects(large);
  g.answers['/events'] = elsewhere;
  const second = g.connect();
  await new Promise((resolve) => { second.on('error', resolve); });
  assert.deepEqual(seen, []);
});

test('a session token with characters that no token has is no session, and is in no message', async (t) => {
  const g = await fake(t);
  for (const session of ['SECRET\nTOKEN', 'SECRET…', 'SECRET TOKEN', { SECRET: 1 }]) {
    for (const options of [{ session }, { session: undefined, getSession: () => session }]) {
      const gateway = g.connect(options);
      const error = await gateway.execution('1').catch((e) => e);
      assert.ok(error instanceof ExpiredError, String(error));
      assert.doesNotMatch(`${error.stack} ${error.cause}`, /SECRET/);
    }
  }
  assert.equal(g.requests.length, 0);
});

test('an address with a password, or of another scheme, is refused without showing it', () => {
  for (const url of ['http://user:SECRET@127.0.0.1:1', 'ftp://127.0.0.1', 'javascript:1']) {
    assert.throws(() => connect({ url, session: 't' }), (e) => e.code === 'bad_url' && !/SECRET/.test(e.stack));
  }
});

test('an answer that is not one of GraphQL is an UnavailableError, and a start is repeated under its id', async (t) => {
  const bad = ['', 'null', '{}', '{"data":null}', '{"errors":[null]}'];
  const g = await fake(t);
  const gateway = g.connect();
  await gateway.ready;
  g.answers['/graphql'] = (req, res) => bad.length > 0 && (g.json(res, 200, bad.shift()), true);
  for (let n = bad.length; n > 1; n--) {
    await assert.rejects(gateway.execution('1'), (e) => e instanceof UnavailableError && e.code === 'bad_answer');
  }
  const run = gateway.run('p');
  assert.equal(await run.started, '11');
  g.send('playbook/result', result(run.requestId, 1), g.id(1));
  await run;
});

test('a code that is the name of a property of every object has a status', async (t) => {
  const g = await fake(t, { '/graphql': (req, res) => (
    g.json(res, 200, { errors: [{ message: 'm', extensions: { code: 'constructor' } }] }), true) });
  await assert.rejects(g.connect().execution('1'), (e) => e instanceof GatewayError && e.status === 500);
});

test('an event that never ends is cut off', async (t) => {
  const g = await fake(t);
  const gateway = g.connect();
  await gateway.ready;
  let cut = false;
  const end = new Promise((resolve) => { gateway.on('state', () => { cut = true; resolve(); }); });
  const part = 'x'.repeat(1 << 20);
  const [stream] = g.streams;
  stream.on('error', () => {});
  stream.write('data: ');
  for (let sent = 0; !cut; sent++) {
    assert.ok(sent < 200, 'more than 200 MiB were taken');
    if (!stream.write(part)) await Promise.race([once(stream, 'drain').catch(() => {}), end]);
  }
});

test('a handler that fails later does not end the program', async (t) => {
  const logged = t.mock.method(console, 'error', () => {});
  const g = await fake(t);
  const gateway = g.connect();
  gateway.on('frame', async () => { throw new Error('later'); });
  const run = gateway.run('p', {}, { onProgress: async () => { throw new Error('later'); } });
  await run.started;
  g.send('playbook/progress', { requestId: run.requestId, executionId: '11', step: 's', message: '', progress: 0 }, g.id(1));
  g.send('playbook/result', result(run.requestId, 1), g.id(2));
  assert.equal(await run, 1);
  assert.equal(logged.mock.callCount(), 3);
});

test('cancel takes an execution id only, not another path', async (t) => {
  const g = await fake(t);
  const gateway = g.connect();
  await gateway.ready;
  const before = g.requests.length;
  for (const id of ['..', '.', '', 'a/b']) await assert.rejects(gateway.cancel(id), (e) => e.code === 'bad_execution_id');
  assert.equal(g.requests.length, before);
});
