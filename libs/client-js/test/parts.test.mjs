import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from '../build/src/backoff.js';
import { Feed } from '../build/src/feed.js';
import { parse } from '../build/src/json.js';
import { comparable, isAfter, position } from '../build/src/position.js';
import { SseParser } from '../build/src/sse.js';
import { Store } from '../build/src/store.js';
import { memory } from './fake.mjs';

test('events are the same in any split', () => {
  const text = ':comment\r\nid: e-1-c\r\nevent: playbook/state\r\ndata: {"a":\r\ndata: 1}\r\n\r\nretry: 250\n\ndata:x\rid\r\rid: \0\nevent: none\n\n';
  const want = [
    { type: 'playbook/state', data: '{"a":\n1}', id: 'e-1-c' }, { type: 'message', data: 'x', id: '' },
  ];
  for (let size = 1; size <= text.length; size++) {
    const events = [];
    const retries = [];
    const parser = new SseParser((e) => events.push(e), (ms) => retries.push(ms));
    for (let i = 0; i < text.length; i += size) parser.push(text.slice(i, i + size));
    assert.deepEqual(events, want, `pieces of ${size}`);
    assert.deepEqual(retries, [250]);
  }
});

test('an event without an end is refused', () => {
  const parser = new SseParser(() => {});
  const part = 'x'.repeat(1 << 20);
  assert.throws(() => { for (let i = 0; i < 80; i++) parser.push(i === 0 ? `data: ${part}` : part); }, RangeError);
  const endless = new SseParser(() => {});
  for (let i = 0; i < 80; i++) endless.push(`data: ${part}\n\n`); // many events are no large one
});

test('integers beyond 2^53 keep their digits, and nothing else changes', () => {
  for (const [text, want] of [
    ['{"id":385739646694326273,"n":9007199254740991,"m":-9007199254740993}', { id: '385739646694326273', n: 9007199254740991, m: '-9007199254740993' }],
    ['{"a":"385739646694326273","b":"\\"385739646694326273\\\\","c":[1.5e300,0.12345678901234567,1234567890123456789.5]}',
      { a: '385739646694326273', b: '"385739646694326273\\', c: [1.5e300, 0.12345678901234567, 1234567890123456789.5] }],
    ['385739646694326273', '385739646694326273'], ['"x"', 'x'],
  ]) assert.deepEqual(parse(text), want);
  for (const text of ['{"a":385739646694326273', '385739646694326273 "', '']) assert.throws(() => parse(text), SyntaxError);
  const long = `{"s":"${'\\"'.repeat(1 << 20)}","id":385739646694326273}`;
  assert.equal(parse(long).id, '385739646694326273');
});

test('pauses grow up to a cap, and half of each is chance', () => {
  assert.deepEqual([0, 1, 2, 9, 99].map((n) => backoff(n, 1000, 30_000, () => 0)), [500, 1000, 2000, 15_000, 15_000]);
  assert.deepEqual([0, 9].map((n) => backoff(n, 1000, 30_000, () => 1)), [1000, 30_000]);
});

test('places are compared in one stream only', () => {
  assert.deepEqual(position('abc-s12-a-b'), { epoch: 'abc', n: 12, client: 'a-b' });
  assert.equal(position('nonsense'), null);
  assert.ok(comparable(position('e-1-c'), position('e-s9-c')));
  for (const other of ['f-1-c', 'e-1-d', null]) assert.ok(!comparable(position('e-1-c'), position(other)));
  assert.deepEqual(['e-9-c', 'e-10-c', 'e-11-c', 'f-1-c'].map((id) => isAfter(id, 'e-10-c')), [false, false, true, true]);
});

test('a feed that is not read is bounded', async () => {
  const feed = new Feed(2, (f) => f.dropOldest());
  for (const n of [1, 2, 3]) feed.push(n);
  feed.end(new Error('the end'));
  feed.push(4);
  const seen = [];
  await assert.rejects(async () => { for await (const n of feed) seen.push(n); }, /the end/);
  assert.deepEqual(seen, [2, 3]);
});

test('over the quota the place is kept as long as it can be', () => {
  const run = { id: 'r', playbook: 'p', start: { variables: { text: 'x'.repeat(500) } } };
  const all = { tab: 't', client: 'c', last: 'e-1-c', runs: [run], subs: ['s'] };
  for (const [limit, want] of [
    [10_000, all], [400, { ...all, runs: [{ id: 'r', playbook: 'p' }] }], [75, { ...all, runs: [], subs: [] }], [10, null],
  ]) {
    const storage = memory(limit);
    const store = new Store('http://g', storage);
    store.begin(() => all);
    assert.deepEqual(new Store('http://g', storage).load(), want, `limit ${limit}`);
    store.end();
    assert.equal(storage.items.size, 0);
  }
});

test('what cannot be read is as nothing', () => {
  for (const text of ['', '{', '[]', '{"tab":1,"runs":[],"subs":[]}', '{"tab":"t"}']) {
    const storage = memory();
    storage.items.set('noetl.gateway:http://g', text);
    assert.equal(new Store('http://g', storage).load(), null);
  }
});
