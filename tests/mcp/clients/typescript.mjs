// The official TypeScript SDKs, v1 and v2, against the gateway.
import { args, connected, sdk, say, recorder, Stranger, told } from './lib.mjs';

const kit = await sdk(args.sdk);
const minute = { timeout: 60_000 };

/** From a bare 401 to tool results, and once through everything that a client does. */
async function tour() {
  const { requests, fetch } = recorder();
  const person = new Stranger();
  const options = { authProvider: person, fetch };
  const first = new kit.StreamableHTTPClientTransport(new URL(args.url), options);
  let refused;
  try {
    await kit.client().connect(first);
  } catch (error) {
    refused = told(error);
  }
  const back = await person.visit();
  await kit.finish(first, back);
  const client = kit.client();
  const transport = new kit.StreamableHTTPClientTransport(new URL(args.url), options);
  await client.connect(transport);
  say({
    step: 'oauth', refused, requests: [...requests], resource: person.kept.address.searchParams.get('resource'),
    scope: person.kept.address.searchParams.get('scope'), registered: Boolean(person.kept.client?.client_id),
    challenge: person.kept.address.searchParams.get('code_challenge_method'),
  });
  say({ step: 'version', version: kit.version(client), server: client.getServerVersion(), capabilities: client.getServerCapabilities() });
  await all(client, requests);
  person.kept.tokens.access_token = args.expired;
  delete person.kept.address;
  const result = await kit.call(client, { name: 'demo__echo', arguments: { text: 'later' } }, minute);
  say({ step: 'refreshed', result, again: Boolean(person.kept.address) });
  await client.close();
}

/** Every page of the tools. */
async function tools(client) {
  const found = [];
  let cursor;
  do {
    const page = await client.listTools(cursor ? { cursor } : undefined);
    found.push(...page.tools);
    cursor = page.nextCursor;
  } while (cursor);
  return found;
}

async function all(client, requests) {
  const found = await tools(client);
  say({
    step: 'tools', names: found.map((tool) => tool.name), echo: found.find((tool) => tool.name === 'demo__echo'),
    pages: requests.filter((r) => r.rpc === 'tools/list').length,
  });
  const call = (name, given, more) => kit.call(client, { name, arguments: given }, { ...minute, ...more });
  say({ step: 'echo', result: await call('demo__echo', { text: 'héllo' }) });
  const progress = [];
  const onprogress = (p) => progress.push(p);
  say({ step: 'progress', result: await call('demo__progress', { step_ms: 80 }, { onprogress }), progress });
  say({ step: 'fail', result: await call('demo__fail', {}) });
  const medium = await call('demo__large', { bytes: 600_000 });
  say({ step: 'medium', isError: medium.isError ?? false, size: medium.content.map((c) => c.text ?? c.uri).join('').length });
  const large = await call('demo__large', { bytes: 2 << 20 });
  const link = large.content.find((c) => c.type === 'resource_link');
  const whole = link && (await client.readResource({ uri: link.uri }, minute));
  say({ step: 'large', link, isError: large.isError ?? false, size: whole?.contents?.[0]?.text?.length });
  const { resources } = await client.listResources();
  const executions = resources.filter((r) => r.uri.startsWith('noetl://executions/'));
  const one = executions[0] && (await client.readResource({ uri: executions[0].uri }));
  say({ step: 'resources', count: executions.length, first: executions[0], contents: one?.contents });
  try {
    await call('no__such__tool', {});
    say({ step: 'unknown' });
  } catch (error) {
    say({ step: 'unknown', error: told(error) });
  }
}

/** A call that its client no longer wants. */
async function cancel() {
  const client = await connected(kit, args.url, args.token);
  const given = new AbortController();
  const running = kit.call(client, { name: 'demo__slow', arguments: { seconds: 40 } }, { ...minute, signal: given.signal });
  running.catch(() => {}); // it is awaited below
  await new Promise((resolve) => process.stdin.once('data', resolve)); // the test has seen it run
  given.abort('the person is gone');
  try {
    say({ step: 'cancelled', result: await running });
  } catch (error) {
    say({ step: 'cancelled', error: told(error) });
  }
  await client.close();
}

/** Many calls of one client, concurrently; each result must be that of its own call. */
async function parallel() {
  const client = await connected(kit, args.url, args.token);
  const right = async (n) => {
    const result = await kit.call(client, { name: 'demo__echo', arguments: { text: `number ${n}` } }, minute);
    return JSON.stringify(result.structuredContent ?? result.content).includes(`number ${n}"`);
  };
  const all = await Promise.allSettled(Array.from({ length: args.count }, (_, n) => right(n)));
  const wrong = all.filter((a) => a.value !== true);
  say({ step: 'parallel', right: all.length - wrong.length, wrong: wrong.slice(0, 3).map((a) => told(a.reason)) });
  await client.close();
}

/** A session that is ended while a call runs. */
async function revoked() {
  const { requests, fetch } = recorder();
  const client = await connected(kit, args.url, args.token, { fetch });
  const running = kit.call(client, { name: 'demo__slow', arguments: { seconds: 40 } }, minute);
  try {
    say({ step: 'ended', result: await running });
  } catch (error) {
    say({ step: 'ended', error: told(error) });
  }
  try {
    say({ step: 'next', result: await kit.call(client, { name: 'demo__echo', arguments: {} }, minute) });
  } catch (error) {
    say({ step: 'next', error: told(error), status: requests.at(-1).status, challenge: requests.at(-1).challenge });
  }
  await client.close().catch(() => {});
}

await { tour, cancel, parallel, revoked }[args.scenario]();
process.exit(0);
