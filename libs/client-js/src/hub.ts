import type { ConnectOptions, State } from './api.js';
import { ExpiredError, type GatewayError } from './errors.js';
import type { First } from './frames.js';
import { userOf } from './http.js';
import { comparable, isAfter, position } from './position.js';
import { Stream, type StreamHost } from './stream.js';

const RING_FRAMES = 512; // for a tab that comes back; an older place is asked from the gateway again
const RING_BYTES = 4 << 20;
const RENEW_MS = 60_000; // for a tab to renew the session, before the next one is asked

export interface Join {
  t: 'join';
  base: string;
  token: string | null;
  /** In a browser: whose session it was when the tab was opened. */
  user?: string;
  credentials: RequestCredentials;
  transport: 'auto' | 'sse' | 'websocket';
  client?: string;
  last?: string;
  /** The tab waits for something of this very client. */
  keep: boolean;
}

/** From a tab to its hub. A token that is false: there is no other session. */
export type ToHub = Join | { t: 'token'; token: string | null | false } | { t: 'refresh' } | { t: 'bye' };

export interface Trouble { message: string; code: string; status: number }

/** From a hub to a tab. A first frame that is stale was sent to another tab before, with its pendingRequests. */
export type ToTab =
  | { t: 'first'; first: First; id: string; stale: boolean }
  | { t: 'frame'; message: any; id: string | null }
  | { t: 'lost'; state: State; error: Trouble | null }
  | { t: 'renew' };

export interface Peer { post(message: ToTab): void }

export interface HubOptions {
  WebSocket?: ConnectOptions['WebSocket'];
  /** Whether frames are kept for tabs that come later. */
  ring: boolean;
}

/** Holds the streams of tabs: one for all tabs of a session, or of the user whose cookie it is. */
export class Hub {
  readonly #channels = new Set<Channel>();
  readonly #of = new Map<Peer, Channel>();

  constructor(readonly options: HubOptions) {}

  receive(peer: Peer, m: ToHub): void {
    if (m.t === 'join') this.#join(peer, m);
    else this.#of.get(peer)?.receive(peer, m);
    if (m.t === 'bye') this.#of.delete(peer);
  }

  #join(peer: Peer, m: Join): void {
    this.receive(peer, { t: 'bye' });
    const same = [...this.#channels].filter((c) => c.serves(m));
    const channel = same.find((c) => m.client && c.client === m.client) ?? (m.keep && m.client ? undefined : same[0])
      ?? new Channel(m, this.options, (c) => this.#channels.delete(c));
    this.#channels.add(channel);
    this.#of.set(peer, channel);
    channel.join(peer, m);
  }
}

type Held = Array<[message: any, id: string | null, size: number]>;

/** One stream, and the tabs that it is for. */
class Channel implements StreamHost {
  readonly base: string;
  readonly transport: Join['transport'];
  readonly credentials: RequestCredentials;
  readonly user?: string;
  readonly WebSocket: ConnectOptions['WebSocket'];
  client?: string;
  readonly #tokens: Set<string | null>;
  readonly #peers = new Set<Peer>();
  readonly #stream: Stream;
  #token: string | null;
  #last?: string;
  #first: { first: First; id: string } | null = null;
  #state: State = 'connecting';
  #ring: Array<{ id: string; message: any; size: number }> = [];
  #bytes = 0;
  #from?: string; // what comes after it is in the ring
  #renewed = false;
  #held: Held | null = null;
  #asking: { peer: Peer; answered(): void } | null = null;

  constructor(m: Join, readonly options: HubOptions, readonly onEnd: (c: Channel) => void) {
    this.WebSocket = options.WebSocket;
    this.base = m.base;
    this.transport = m.transport;
    this.credentials = m.credentials;
    this.user = m.user;
    this.#token = m.token;
    this.#tokens = new Set([m.token]);
    this.client = m.client;
    this.#last = this.#from = m.last;
    this.#stream = new Stream(this);
    void this.#stream.run().then(() => this.onEnd(this));
  }

  /** Whether a tab may join: whoever has no session of this stream may not see its frames. */
  serves(m: Join): boolean {
    return this.base === m.base && this.transport === m.transport && this.user === m.user && this.#tokens.has(m.token);
  }

  join(peer: Peer, m: Join): void {
    this.#peers.add(peer);
    const place = position(m.client === this.client ? m.last : null);
    const from = position(this.#from);
    if (place && comparable(from, place) && place.n < from.n) return this.#back(m.last!);
    if (!this.#first) return;
    const at = comparable(from, place) ? m.last! : this.#last!;
    peer.post({ t: 'first', first: this.#first.first, id: at, stale: true });
    for (const { id, message } of this.#ring) if (isAfter(id, at)) peer.post({ t: 'frame', message, id });
    if (this.#state !== 'live') peer.post({ t: 'lost', state: this.#state, error: null });
  }

  receive(peer: Peer, m: ToHub): void {
    if (m.t === 'refresh') this.#stream.restart();
    else if (m.t === 'bye') this.#leave(peer);
    else if (m.t === 'token' && m.token !== false) {
      this.#token = m.token;
      this.#tokens.add(m.token);
      this.#renewed = true;
      this.#asking?.answered();
    } else if (m.t === 'token') this.#leave(peer);
  }

  #leave(peer: Peer): void {
    this.#peers.delete(peer);
    if (this.#asking?.peer === peer) this.#asking.answered();
    if (this.#peers.size === 0) {
      this.#stream.stop();
      this.onEnd(this);
    }
  }

  /** Reads again from an older place; tabs drop what they have seen. */
  #back(id: string): void {
    this.#clear(id);
    this.#last = id;
    this.#stream.restart();
  }

  #clear(from: string | undefined): void {
    this.#ring = [];
    this.#bytes = 0;
    this.#from = from;
  }

  #post(m: ToTab): void {
    for (const peer of this.#peers) peer.post(m);
  }

  // What the stream asks and tells.

  token(): string | null { return this.#token; }

  place(): { client?: string; last?: string } { return { client: this.client, last: this.#last }; }

  message(message: any, id: string | null, size: number): void {
    const client = message?.result?.clientId;
    if (client) this.#held = null;
    // Somebody else may have logged in meanwhile. A client is never given to another user.
    if (this.user && client && client !== this.client) void this.#verify(this.#held = []);
    if (this.#held) this.#held.push([message, id, size]);
    else this.#take(message, id, size);
  }

  /** Passes on what was held once it is known whose session opened the stream. */
  async #verify(held: Held): Promise<void> {
    const user = await userOf(this.base, this.credentials, this.#token).catch((error) => error instanceof ExpiredError ? '' : null);
    if (this.#held !== held) return;
    this.#held = null;
    if (user === this.user) for (const frame of held) this.#take(...frame);
    else this.#stream.drop(user !== null);
  }

  #take(message: any, id: string | null, size: number): void {
    const first: First | undefined = message?.result;
    if (first?.clientId) {
      this.client = first.clientId;
      if (id && !comparable(position(this.#from), position(id))) {
        this.#clear(id);
        this.#last = id;
      }
      this.#first = { first, id: id ?? this.#last ?? '' };
      this.#state = 'live';
      return this.#post({ t: 'first', ...this.#first, stale: false });
    }
    if (typeof message?.method !== 'string' || message.method === 'ping') return;
    if (!/^(playbook|subscription)\//.test(message.method)) id = null;
    if (message.method === 'gap' && wasReset(message)) {
      this.#last = this.#first?.id;
      this.#clear(this.#last);
    }
    if (id) {
      this.#last = id;
      if (this.options.ring) this.#keep(id, message, size);
    }
    this.#post({ t: 'frame', message, id });
  }

  #keep(id: string, message: any, size: number): void {
    this.#ring.push({ id, message, size });
    this.#bytes += size;
    while (this.#ring.length > RING_FRAMES || this.#bytes > RING_BYTES) {
      const gone = this.#ring.shift()!;
      this.#bytes -= gone.size;
      this.#from = gone.id;
    }
  }

  lost(error: GatewayError | null): void {
    this.#state = globalThis.navigator?.onLine === false ? 'offline' : this.#first ? 'reconnecting' : 'connecting';
    this.#held = null;
    const trouble = error && { message: error.message, code: error.code, status: error.status };
    this.#post({ t: 'lost', state: this.#state, error: trouble });
  }

  /** Asks one tab after the other: a session that can be renewed once must not be renewed by six concurrently. */
  async renew(dead: string | null): Promise<boolean> {
    this.#renewed = this.#token !== dead;
    const asked = new Set<Peer>();
    while (!this.#renewed) {
      this.lost(null);
      const peer = [...this.#peers].find((p) => !asked.has(p));
      if (!peer) return false;
      asked.add(peer);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, RENEW_MS);
        this.#asking = { peer, answered: () => { clearTimeout(timer); resolve(); } };
        peer.post({ t: 'renew' });
      });
    }
    return true;
  }
}

/** Whether numbers are given out again, so that a frame may be new although its number is low. */
export function wasReset(gap: any): boolean {
  return gap?.params?.reason === 'the store of frames was reset';
}
