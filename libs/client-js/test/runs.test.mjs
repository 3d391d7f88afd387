import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, DeniedError, ExpiredError, GatewayError, RunFailedError, TimeoutError, UnavailableError } from '../dist/gateway-client.js';
import { fake, memory } from './fake.mjs';

const result = (requestId, more) => ({ requestId, executionId: '11', status: 'COMPLETED', ...more });
const conflict = { errors: [{ message: 'taken', extensions: { code: 'CONFLICT', reason: 'request_exists' } }] };

test('a start whose answer was lost is repeated under the same id', async (t) => {
  let lost = 0;
  const g = await fake(t, { '/graphql': (req, res, body) => {
    g.starts.push(body.variables);
    if (lost++ === 0) return void res.destroy() ?? true;
    g.pending = [{ requestId: body.variables.r, executionId: '11', playbookPath: 'p' }];
    g.json(res, 200, conflict);
    return true;
  } });
  const run = g.connect().run('p', { a: 1 });
  assert.equal(await run.started, '11'); // told by the next first frame
  g.send('playbook/result', result(run.requestId, { data: 'ok' }), g.id(1));
  assert.equal(await run, 'ok');
  assert.deepEqual(g.starts.map((s) => s.r), [run.requestId, run.requestId]);
});

test('a start waits as long as Retry-After says', async (t) => {
  let busy = 2;
  const times = [];
  const g = await fake(t, { '/graphql': (req, res) => {
    times.push(performance.now());
    return busy-- > 0 && (g.json(res, 503, { error: 'busy', code: 'unavailable' }, { 'Retry-After': '1' }), true);
  } });
  const run = g.connect().run('p');
  await run.started;
  assert.equal(times.length, 3);
  assert.ok(times[1] - times[0] >= 990 && times[2] - times[1] >= 990, String(times));
});

test('an outage that outlasts the timeout is a TimeoutError', async (t) => {
  const g = await fake(t, { '/graphql': (req, res) => (g.json(res, 502, { error: 'down', code: 'noetl_unreachable' }), true) });
  const error = await g.connect().run('p', {}, { timeout: 2000 }).catch((e) => e);
  assert.ok(error instanceof TimeoutError && error.code === 'timeout', String(error));
  const nowhere = connect({ url: 'http://127.0.0.1:1', session: 's' });
  t.after(() => nowhere.close());
  await assert.rejects(nowhere.execution('1'), (e) => e instanceof UnavailableError && e.code === 'network' && e.status === 0);
});

test('errors are typed and carry the code of the contract', async (t) => {
  const answers = [];
  const g = await fake(t, { '/graphql': (req, res) => (g.json(res, 200, answers.shift()), true) });
  const gateway = g.connect();
  await gateway.ready;
  for (const [extensions, kind, status] of [
    [{ code: 'FORBIDDEN', reason: 'no_grant' }, DeniedError, 403],
    [{ code: 'BAD_USER_INPUT', reason: 'bad_request_id' }, GatewayError, 400],
    [{ code: 'UNAUTHENTICATED', reason: 'missing_session' }, ExpiredError, 401],
  ]) {
    answers.push({ errors: [{ message: 'no', extensions }] });
    const error = await gateway.run('p').catch((e) => e);
    assert.ok(error instanceof kind && error.code === extensions.reason && error.status === status, String(error.stack));
  }
});

test('frames that come before the answer belong to their run', async (t) => {
  const g = await fake(t, { '/graphql': (req, res, body) => {
    g.send('playbook/state', { execution_id: '11', event_type: 'step.enter', step_name: 's', status: 'ENTERED', at: '' }, g.id(1));
    g.send('playbook/progress', { requestId: body.variables.r, executionId: '', step: 's', message: '', progress: 0.5 }, g.id(2));
    g.send('playbook/result', result(body.variables.r, { data: { id: 1 } }), g.id(3));
    setTimeout(() => g.json(res, 200, { data: { executePlaybook: { executionId: '11' } } }), 100);
    return true;
  } });
  const run = g.connect().run('p');
  const seen = [];
  for await (const frame of run) seen.push(frame.method);
  assert.deepEqual(await run, { id: 1 });
  assert.deepEqual(seen.sort(), ['playbook/progress', 'playbook/result', 'playbook/state'].sort());
});

test('after a gap the state of the execution settles the run', async (t) => {
  for (const [execution, check] of [
    [{ status: 'COMPLETED', completed: true, failed: false, result: { a: 1 } }, (v) => assert.deepEqual(v, { a: 1 })],
    [{ status: 'FAILED', completed: false, failed: true, error: 'broken' }, (e) => assert.ok(e instanceof RunFailedError && e.message === 'broken')],
    [{ status: 'CANCELLED', completed: true, failed: false }, (e) => assert.ok(e instanceof RunFailedError && e.code === 'cancelled')],
  ]) {
    const g = await fake(t);
    const gateway = g.connect();
    const gaps = [];
    gateway.on('gap', (gap) => gaps.push(gap.reason));
    const run = gateway.run('p');
    await run.started;
    g.execution = execution;
    g.send('gap', { lastEventId: g.id(0), reason: 'older frames are no longer kept' });
    check(await run.catch((e) => e));
    assert.deepEqual(gaps, ['older frames are no longer kept']);
    assert.deepEqual(g.asked, ['11']);
  }
});

test('a run that is pending no more is asked for, but a result on its way counts first', async (t) => {
  const g = await fake(t);
  const gateway = g.connect();
  const run = gateway.run('p');
  await run.started;
  g.execution = { status: 'COMPLETED', completed: true, failed: false, result: 'from the state' };
  g.cut();
  await g.until(() => g.streams.length > 0);
  g.send('playbook/result', result(run.requestId, { data: 'from the frame' }), g.id(1));
  assert.equal(await run, 'from the frame');
  const other = gateway.run('p');
  await other.started;
  g.cut();
  assert.equal(await other, 'from the state');
});

test('frames that were seen are dropped, and the place is sent', async (t) => {
  const g = await fake(t);
  const gateway = g.connect();
  const run = gateway.run('p', {}, { onProgress: (p) => steps.push(p.step) });
  const steps = [];
  await run.started;
  const progress = (step, n) => g.send('playbook/progress', { requestId: run.requestId, executionId: '11', step, message: '', progress: 0 }, g.id(n));
  progress('one', 1);
  progress('two', 2);
  await g.until(() => steps.length === 2);
  g.cut();
  await g.until(() => g.streams.length > 0);
  assert.equal(g.requests.filter((r) => r.url.startsWith('/events')).at(-1).headers['last-event-id'], g.id(2));
  for (const [step, n] of [['one', 1], ['two', 2], ['three', 3]]) progress(step, n);
  g.send('playbook/result', result(run.requestId), g.id(4));
  await run;
  assert.deepEqual(steps, ['one', 'two', 'three']);
});

test('a result that exceeds a frame is fetched, with the session in a header', async (t) => {
  let busy = 1;
  const g = await fake(t);
  const gateway = g.connect();
  const run = gateway.run('p');
  await run.started;
  const path = `/api/results/${run.requestId}`;
  const error = { code: -32603, message: 'large', data: { code: 'result_too_large', bytes: 9, url: 'http://evil.example/x' } };
  g.answers[path] = (req, res) => {
    if (busy-- > 0) g.json(res, 429, { error: 'wait', code: 'rate_limited' }, { 'Retry-After': '1' });
    else g.json(res, 200, '{"request_id":"r","data":{"id":385739646694326273}}');
    return true;
  };
  g.send('playbook/result', result(run.requestId, { error }), g.id(1));
  assert.deepEqual(await run, { id: '385739646694326273' });
  const asked = g.requests.filter((r) => r.url === path);
  assert.deepEqual(asked.map((r) => r.headers.authorization), ['Bearer token', 'Bearer token']);
});

test('runs go on after a reload, and one that may not have been started is started', async (t) => {
  const g = await fake(t);
  const storage = memory();
  const first = g.connect({ storage });
  const started = first.run('p', { n: 1 });
  await started.started;
  g.answers['/graphql'] = (req, res) => (res.destroy(), true);
  const unsent = first.run('q', { n: 2 });
  unsent.catch(() => {});
  started.catch(() => {});
  await g.until(() => g.requests.some((r) => r.body?.variables?.r === unsent.requestId));
  const copy = memory();
  for (const [k, v] of storage.items) copy.items.set(k, v);
  first.close();
  delete g.answers['/graphql'];
  g.starts.length = 0;

  const second = g.connect({ storage: copy });
  await second.ready;
  assert.deepEqual(second.resumed.map((r) => [r.requestId, r.playbook]), [[started.requestId, 'p'], [unsent.requestId, 'q']]);
  await second.resumed[1].started;
  assert.deepEqual(g.starts.map((s) => [s.r, s.name, s.variables]), [[unsent.requestId, 'q', { n: 2 }]]);
  g.send('playbook/result', result(started.requestId, { data: 'one' }), g.id(1));
  g.send('playbook/result', result(unsent.requestId, { data: 'two' }), g.id(2));
  assert.deepEqual(await Promise.all(second.resumed), ['one', 'two']);
  assert.ok(!JSON.stringify([...copy.items.values()]).includes('token'));
});

test('somebody else who logs in after a reload starts nothing of the user before', async (t) => {
  const g = await fake(t);
  const storage = memory();
  const saved = { tab: 't', client: 'before', last: 'e-1-before', runs: [{ id: 'r', playbook: 'p', start: {} }], subs: [] };
  storage.items.set(`noetl.gateway:${g.url}`, JSON.stringify(saved));
  const gateway = g.connect({ storage });
  await gateway.ready;
  await assert.rejects(gateway.resumed[0], (e) => e instanceof GatewayError && e.code === 'lost');
  assert.equal(g.starts.length, 0);
});

test('nothing rejects unhandled where an iterator or on("error") sees it', async (t) => {
  const seen = [];
  const unhandled = (e) => seen.push(e);
  process.on('unhandledRejection', unhandled);
  t.after(() => process.off('unhandledRejection', unhandled));
  const g = await fake(t);
  const gateway = g.connect();
  const errors = [];
  const fail = (run) => g.send('playbook/result', {
    ...result(run.requestId), status: 'FAILED', error: { code: -32000, message: 'no', data: { code: 'worse' } },
  }, g.id(g.starts.length));
  const iterated = gateway.run('p');
  const frames = (async () => { for await (const frame of iterated) errors.push(frame.method); })();
  await iterated.started;
  fail(iterated);
  await assert.rejects(frames, (e) => e instanceof RunFailedError && e.code === 'worse' && e.executionId === '11');
  gateway.on('error', (e) => errors.push(e.code));
  const ignored = gateway.run('p');
  await ignored.started;
  fail(ignored);
  await g.until(() => errors.includes('worse'));
  await new Promise((r) => { setTimeout(r, 20); });
  assert.deepEqual(seen, []);
  assert.deepEqual(errors, ['playbook/result', 'worse']);
});

test('a signal cancels the execution, also when its start is not answered yet', async (t) => {
  const g = await fake(t);
  const cancelled = [];
  g.answers['/noetl/executions/11/cancel'] = (req, res) => (cancelled.push('11'), g.json(res, 200, {}), true);
  let answer;
  g.answers['/graphql'] = (req, res) => { answer = () => g.json(res, 200, { data: { executePlaybook: { executionId: '11' } } }); return true; };
  const abort = new AbortController();
  const run = g.connect().run('p', {}, { signal: abort.signal });
  await g.until(() => answer);
  abort.abort(new Error('enough'));
  await assert.rejects(run, /enough/);
  answer();
  await g.until(() => cancelled.length === 1);
});

test('a session is renewed once for all that need it', async (t) => {
  let asked = 0;
  const refuse = (req, res) => req.headers.authorization !== 'Bearer new'
    && (g.json(res, 401, { error: 'ended', code: 'session_expired' }), true);
  const g = await fake(t, { '/graphql': refuse, '/events': refuse });
  const gateway = g.connect({ session: undefined, getSession: (why) => (why === 'start' ? 'old' : (asked++, 'new')) });
  await Promise.all([gateway.ready, gateway.execution('1'), gateway.execution('2'), gateway.run('p').started]);
  assert.equal(asked, 1);
});

test('addresses are below the gateway', async (t) => {
  const g = await fake(t);
  const gateway = g.connect();
  for (const path of ['http://evil.example/', 'x', '']) await assert.rejects(gateway.fetch(path), TypeError);
  await assert.rejects(gateway.fetch('//evil.example/'), (e) => e.status === 404);
  assert.throws(() => connect({ session: 's' }), (e) => e.code === 'no_url');
  assert.throws(() => connect({ url: g.url, transport: 'websocket' }), (e) => e.code === 'no_websocket');
});

test('errors of a result have the classes of the contract', async (t) => {
  const g = await fake(t);
  const gateway = g.connect();
  for (const [number, kind, word, status] of [
    [-32000, RunFailedError, 'playbook_failed', 0], [-32001, TimeoutError, 'timeout', 504],
    [-32002, ExpiredError, 'session_expired', 401], [-32003, DeniedError, 'denied', 403],
  ]) {
    for (const [data, code] of [[undefined, word], [{ code: 'said' }, 'said']]) {
      const run = gateway.run('p');
      await run.started;
      g.send('playbook/result', { ...result(run.requestId), status: 'FAILED', error: { code: number, message: 'no', data } }, g.id(g.starts.length));
      const error = await run.catch((e) => e);
      assert.ok(error instanceof kind && error.code === code && error.status === status, String(error.stack));
    }
  }
});

test('after a gap a subscription begins with a reset', async (t) => {
  const g = await fake(t);
  const events = [];
  const subscription = g.connect().subscribe('boards/b/cards', { source: 'kv' });
  void (async () => { for await (const { op, doc_id } of subscription) events.push(`${op} ${doc_id}`); })().catch(() => {}); // the gateway is closed
  const added = (id, n) => g.send('subscription/event', { subscription_id: id, doc_id: 'd', op: 'added', data: {} }, g.id(n));
  added(await subscription.id, 1);
  await g.until(() => events.length === 1);
  g.send('gap', { lastEventId: g.id(1), reason: 'older frames are no longer kept' });
  await g.until(() => events.length === 2);
  added('s2', 2);
  await g.until(() => events.length === 3);
  assert.deepEqual(events, ['added d', 'reset ', 'added d']);
});

test('cancelling what has ended does nothing', async (t) => {
  const g = await fake(t);
  g.answers['/noetl/executions/11/cancel'] = (req, res) => (g.json(res, 409, { error: 'over', code: 'noetl_409' }), true);
  const gateway = g.connect();
  const run = gateway.run('p');
  await run.started;
  await assert.rejects(run.cancel(), (e) => e.status === 409); // NoETL says no, and it is not over
  g.execution = { status: 'COMPLETED', completed: true, failed: false, result: 1 };
  await run.cancel();
  assert.equal(await run, 1);
});
