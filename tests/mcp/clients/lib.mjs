// What the scripts share. What to do comes as one JSON object in the first argument, and what happened goes out as
// one JSON object per line. The Go tests judge it.

export const args = JSON.parse(process.argv[2]);

export const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** A fetch that notes each request: what a client asks for, in which order, and what it is told. */
export function recorder() {
  const requests = [];
  const recorded = async (target, init = {}) => {
    const url = new URL(target instanceof Request ? target.url : target);
    const entry = { method: init.method ?? 'GET', path: url.pathname };
    const headers = new Headers(init.headers);
    entry.authorized = headers.has('authorization');
    if (typeof init.body === 'string' && init.body.startsWith('{')) entry.rpc = JSON.parse(init.body).method;
    if (init.body instanceof URLSearchParams) entry.form = Object.fromEntries(init.body);
    requests.push(entry);
    const answer = await fetch(target, init);
    entry.status = answer.status;
    if (answer.headers.has('www-authenticate')) entry.challenge = answer.headers.get('www-authenticate');
    return answer;
  };
  return { requests, fetch: recorded };
}

const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const text = (html) =>
  html.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    return decimal ? String.fromCodePoint(Number(decimal)) : (named[name] ?? whole);
  });

function attributes(tag) {
  const found = {};
  for (const [, name, value] of tag.matchAll(/([\w-]+)="([^"]*)"/g)) found[name] = text(value);
  return found;
}

/** What a browser would send if a person filled in the first form of a page. */
function filled(page, at, person) {
  const form = page.match(/<form\b[^>]*>/);
  if (!form) throw new Error(`no form at ${at}: ${page.slice(0, 400)}`);
  const values = new URLSearchParams();
  for (const [tag] of page.matchAll(/<input\b[^>]*>/g)) {
    const { name, value } = attributes(tag);
    if (name) values.set(name, person[name] ?? value ?? '');
  }
  return { action: new URL(attributes(form[0]).action ?? '', at), values };
}

/** Plays the browser and the person: from the issuer's address to that of the redirect URI. */
export async function signIn(address, redirect, person = { email: 'demo@example.com', password: 'demo' }) {
  let at = new URL(address);
  let answer = await fetch(at, { redirect: 'manual' });
  for (let step = 0; step < 8; step += 1) {
    if (answer.status >= 300 && answer.status < 400) {
      at = new URL(answer.headers.get('location'), at);
      if (at.href.startsWith(redirect)) return at;
      answer = await fetch(at, { redirect: 'manual' });
      continue;
    }
    const { action, values } = filled(await answer.text(), at, person);
    at = action;
    answer = await fetch(at, { method: 'POST', body: values, redirect: 'manual' });
  }
  throw new Error(`the sign-in ends nowhere, last at ${at} with ${answer.status}`);
}

/** An OAuth client without any registration or token: it must find out all by itself. */
export class Stranger {
  redirectUrl = 'http://127.0.0.1:39999/callback'; // nobody listens there: the sign-in stops before it
  kept = {};

  get clientMetadata() {
    return {
      client_name: 'tests of the gateway', redirect_uris: [this.redirectUrl], token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    };
  }

  state() {
    this.kept.state ??= crypto.randomUUID();
    return this.kept.state;
  }

  clientInformation() { return this.kept.client; }
  saveClientInformation(client) { this.kept.client = client; }
  tokens() { return this.kept.tokens; }
  saveTokens(tokens) { this.kept.tokens = tokens; }
  codeVerifier() { return this.kept.verifier; }
  saveCodeVerifier(verifier) { this.kept.verifier = verifier; }
  saveDiscoveryState(state) { this.kept.discovery = state; }
  discoveryState() { return this.kept.discovery; }
  redirectToAuthorization(url) { this.kept.address = url; }

  /** The parameters that a browser brings back. */
  async visit(person) {
    if (!this.kept.address) throw new Error('the client did not ask for a sign-in');
    const back = (await signIn(this.kept.address, this.redirectUrl, person)).searchParams;
    if (back.get('state') !== this.kept.state) throw new Error('the state came back changed');
    if (!back.get('code')) throw new Error(`no code came back: ${back}`);
    return back;
  }
}

/** Both SDKs under one face. */
export async function sdk(name) {
  if (name === 'v1') {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    return {
      StreamableHTTPClientTransport,
      client: () => new Client({ name: 'tests', version: '1' }),
      call: (client, params, options) => client.callTool(params, undefined, options),
      finish: (transport, back) => transport.finishAuth(back.get('code')),
      version: (client) => client.transport.protocolVersion,
    };
  }
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  return {
    StreamableHTTPClientTransport,
    client: () => new Client({ name: 'tests', version: '1' }, { versionNegotiation: { mode: 'auto' } }),
    call: (client, params, options) => client.callTool(params, options),
    finish: (transport, back) => transport.finishAuth(back),
    version: (client) => client.getNegotiatedProtocolVersion?.(),
  };
}

/** Connects with a bearer token. */
export async function connected(kit, url, token, more = {}) {
  const client = kit.client();
  const headers = { Authorization: `Bearer ${token}` };
  const transport = new kit.StreamableHTTPClientTransport(new URL(url), { requestInit: { headers }, ...more });
  await client.connect(transport);
  return client;
}

/** What a test may know about an error. */
export const told = (error) => ({
  name: error?.name, code: error?.code, status: error?.status ?? error?.data?.status, message: String(error?.message ?? error),
});
