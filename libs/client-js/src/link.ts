import { Hub, type HubOptions, type Join, type Peer, type ToHub, type ToTab } from './hub.js';

declare const VERSION: string;

const NAME = `noetl-gateway ${VERSION}`; // tabs with another version of this module have a stream of their own
const CLAIM_MS = 1500; // after a reload the old page may let go a moment late
const WELCOME_MS = 3000;

/** The way of a tab to the hub of its stream. */
export interface Link {
  send(m: ToHub): void;
  close(): void;
}

export interface LinkOptions {
  tab: string;
  share: boolean;
  /** The session, or with the cookie its user, at one address: only a hash of it is seen by others. */
  session: string;
  socket: HubOptions['WebSocket'];
  receive(m: ToTab): void;
  /** The hub is another one now: join again. */
  rejoin(): void;
}

const locks = (): LockManager | undefined => globalThis.navigator?.locks;
const lockOf = (tab: string) => `noetl-gateway tab ${tab}`;
const forever = () => new Promise<void>(() => {});

/**
 * Claims a tab's place; resolves to a function that gives it up, or to null when another tab has it: a duplicated
 * tab begins with a copy of sessionStorage. The lock also tells others when this tab is gone.
 */
export function claim(tab: string): Promise<(() => void) | null> {
  return new Promise((resolve) => {
    const manager = locks();
    if (!manager) return resolve(() => {});
    manager.request(lockOf(tab), { signal: AbortSignal.timeout(CLAIM_MS) }, () => new Promise<void>((release) => {
      resolve(release);
    })).catch((error) => resolve(error?.name === 'TimeoutError' || error?.name === 'AbortError' ? null : () => {}));
  });
}

/** Calls back when whoever holds a lock is gone. */
const whenFree = (lock: string, then: () => void) => {
  locks()!.request(lock, { mode: 'shared' }, () => { then(); }).catch(() => {});
};

/** The hub of all tabs where the browser can, else one of its own. */
export async function link(o: LinkOptions): Promise<Link> {
  if (o.share && locks() && typeof document !== 'undefined') {
    const shared = await workerLink(o) ?? await channelLink(o);
    if (shared) return shared;
  }
  const hub = new Hub({ WebSocket: o.socket, ring: false });
  const peer = { post: o.receive };
  return { send: (m) => hub.receive(peer, m), close: () => hub.receive(peer, { t: 'bye' }) };
}

/** The script of a SharedWorker must be ours alone: in a bundle this module is a part of somebody's program. */
function script(): string | null {
  const url = new URL(import.meta.url);
  return url.origin === location.origin && /\/gateway-client(\.[\w-]+)?\.js$/.test(url.pathname) ? url.href : null;
}

async function workerLink(o: LinkOptions): Promise<Link | null> {
  const url = script();
  if (!url || typeof SharedWorker === 'undefined' || o.socket) return null;
  let closed = false;
  let port: MessagePort | null = null;
  const open = () => new Promise<MessagePort | null>((resolve) => {
    let worker: SharedWorker;
    try {
      worker = new SharedWorker(url, { type: 'module', name: NAME });
    } catch {
      return resolve(null); // a content security policy
    }
    const timer = setTimeout(() => resolve(null), WELCOME_MS);
    worker.onerror = () => resolve(null);
    worker.port.onmessage = ({ data }) => {
      if (data.t !== 'hub') return closed || worker.port !== port ? undefined : o.receive(data);
      clearTimeout(timer);
      resolve(worker.port);
      whenFree(data.lock, async () => { // the worker has died
        if (closed) return;
        port = await open();
        o.rejoin();
      });
    };
  });
  port = await open();
  return port && {
    send: (m) => port?.postMessage(m.t === 'join' ? { ...m, lock: lockOf(o.tab) } : m),
    close: () => { port?.postMessage({ t: 'bye' }); closed = true; },
  };
}

/** The other side of workerLink: this module as the script of a SharedWorker. */
export function serve(): void {
  const scope: any = globalThis;
  const kind = scope.SharedWorkerGlobalScope;
  if (!kind || !(scope instanceof kind) || scope.name !== NAME) return;
  const hub = new Hub({ ring: true });
  const lock = `noetl-gateway hub ${crypto.randomUUID()}`;
  const held = new Promise<void>((resolve) => { locks()!.request(lock, () => { resolve(); return forever(); }).catch(() => {}); });
  scope.onconnect = ({ ports: [port] }: MessageEvent) => {
    const peer: Peer = { post: (m) => port!.postMessage(m) };
    port!.onmessage = ({ data }: MessageEvent<ToHub & { lock: string }>) => {
      hub.receive(peer, data);
      if (data.t === 'join') whenFree(data.lock, () => hub.receive(peer, { t: 'bye' }));
    };
    void held.then(() => port!.postMessage({ t: 'hub', lock }));
  };
}

type ChannelMessage = { to: 'hub' | 'all' | string; from: string; m?: any };

async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** One tab holds the stream under a lock and passes frames on. Tokens stay in their tabs. */
async function channelLink(o: LinkOptions): Promise<Link | null> {
  if (typeof BroadcastChannel === 'undefined' || !crypto.subtle) return null;
  const name = `${NAME} ${await digest(o.session)}`;
  const channel = new BroadcastChannel(name);
  const peers = new Map<string, Peer>();
  const own: Peer = { post: o.receive };
  const end = new AbortController();
  let hub: Hub | null = null;
  let token: string | null | undefined; // undefined: this tab has not joined its own hub yet
  const post = (to: string, m?: unknown) => channel.postMessage({ to, from: o.tab, m } satisfies ChannelMessage);

  channel.onmessage = ({ data: { to, from, m } }: MessageEvent<ChannelMessage>) => {
    if (to === 'all') o.rejoin();
    else if (to === o.tab && m.t !== 'renew') o.receive(m);
    else if (to === 'hub' && hub && token !== undefined) fromTab(hub, from, m);
  };
  const fromTab = (at: Hub, from: string, m: ToHub) => {
    let peer = peers.get(from);
    if (m.t === 'join') {
      if (!peer) peers.set(from, peer = { post: (answer) => post(from, answer) });
      const gone = peer;
      whenFree(lockOf(from), () => { at.receive(gone, { t: 'bye' }); peers.delete(from); });
      m = { ...m, token: token! } satisfies Join;
    }
    if (peer) at.receive(peer, m);
  };
  locks()!.request(name, { signal: end.signal }, () => {
    hub = new Hub({ WebSocket: o.socket, ring: true });
    o.rejoin();
    return new Promise<void>((release) => end.signal.addEventListener('abort', () => release()));
  }).catch(() => {});

  return {
    send(m) {
      if (hub) {
        hub.receive(own, m);
        if (m.t === 'token' && m.token !== false) token = m.token;
        if (m.t !== 'join') return;
        const first = token === undefined;
        token = m.token;
        if (first) post('all');
      } else if (m.t !== 'token') post('hub', m.t === 'join' ? { ...m, token: null } : m);
    },
    close() {
      if (hub) for (const peer of [own, ...peers.values()]) hub.receive(peer, { t: 'bye' });
      else post('hub', { t: 'bye' });
      hub = null;
      end.abort();
      channel.close();
    },
  };
}
