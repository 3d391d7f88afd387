import { backoff } from './backoff.js';
import { GatewayError, UnavailableError } from './errors.js';
import { errorOfResponse, retryAfter } from './http.js';
import { parse } from './json.js';
import { SseParser } from './sse.js';

const SILENCE_MS = 75_000; // the gateway pings every 30 s: two and a half of them missed
const STEADY_MS = 5000; // a server that accepts and hangs up must not reset the backoff
const HEAD_MS = 12_000; // the gateway itself waits up to 10 s for a part that restarts
const FIRST_MS = 10_000; // without a byte, until the first frame is there
const TRIES = 2; // of a transport before its first frame; then it is not the way here
const CLOSE_SESSION = 4401; // 401 in the private range of close codes
const RENEWALS = 2; // in a row, without a first frame in between

/** What a stream needs from whoever opens it. */
export interface StreamHost {
  readonly base: string;
  readonly transport: 'auto' | 'sse' | 'websocket';
  readonly credentials: RequestCredentials;
  readonly WebSocket?: new (url: string) => WebSocket;
  token(): string | null;
  place(): { client?: string; last?: string };
  message(message: any, id: string | null, size: number): void;
  /** The connection has ended or could not be opened; it is tried again. */
  lost(error: GatewayError | null): void;
  /** The session of this token has ended; true when there is another. */
  renew(dead: string | null): Promise<boolean>;
}

export const socketsOf = (given?: new (url: string) => WebSocket): (new (url: string) => WebSocket) | undefined =>
  given ?? (globalThis as any).WebSocket;

/** One connection for frames, opened again until stop(). */
export class Stream {
  #stopped = false;
  #attempt = 0;
  #base = 1000;
  #failures = 0;
  #renewals = 0;
  #sockets: boolean;
  #refused = false;
  #again = false;
  #late = false;
  #live = false;
  #abort = new AbortController();
  #wake = () => {};
  readonly #online = () => { this.#attempt = 0; this.#wake(); };

  constructor(readonly host: StreamHost) {
    this.#sockets = host.transport === 'websocket';
    globalThis.addEventListener?.('online', this.#online);
  }

  /** Resolves when the stream has ended for good: after stop(), or without a session. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const began = Date.now();
      this.#live = this.#refused = this.#again = this.#late = false;
      const token = this.host.token();
      let wait = 0;
      let error: GatewayError | null = null;
      try {
        error = await this.#once(this.#abort = new AbortController());
        wait = error?.retryAfter ?? 0;
      } catch (cause) {
        error = cause instanceof GatewayError ? cause : new UnavailableError('the stream was cut', 'network', 0, { cause });
      } finally {
        this.#abort.abort();
      }
      if (this.#stopped) break;
      if (this.#refused) {
        if (++this.#renewals > RENEWALS || !await this.host.renew(token)) return this.stop();
        continue;
      }
      if (this.#again) continue;
      this.#failures = this.#live || (error && error.status > 0) ? 0 : this.#failures + (this.#late ? TRIES : 1);
      if (this.#failures >= TRIES && this.host.transport === 'auto' && socketsOf(this.host.WebSocket)) {
        this.#sockets = !this.#sockets;
        this.#failures = 0;
      }
      if (this.#live && Date.now() - began > STEADY_MS) this.#attempt = 0;
      this.host.lost(this.#live ? null : error);
      await this.#pause(Math.max(wait, backoff(this.#attempt++, this.#base)));
    }
  }

  stop(): void {
    this.#stopped = true;
    globalThis.removeEventListener?.('online', this.#online);
    this.#abort.abort();
    this.#wake();
  }

  /** Opens the connection again, now, at the place that the host says. */
  restart(): void {
    this.#again = true;
    this.#abort.abort();
    this.#wake();
  }

  /** Ends the connection. Refused: as when the gateway refuses the session. */
  drop(refused: boolean): void {
    this.#refused = refused;
    this.#abort.abort();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => { clearTimeout(timer); resolve(); };
    });
  }

  /** One connection, from the request to its end. */
  async #once(abort: AbortController): Promise<GatewayError | null> {
    const { signal } = abort;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const within = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => { this.#late = true; abort.abort(); }, this.#live || this.host.transport !== 'auto' ? SILENCE_MS : ms);
    };
    within(HEAD_MS);
    const alive = () => within(FIRST_MS); // where bytes come, nothing is blocked
    const deliver = (data: string, id: string | null) => {
      if (signal.aborted) return;
      let message: any;
      try {
        message = parse(data);
      } catch {
        return; // no frame of a gateway
      }
      if (message?.result?.clientId) {
        this.#live = true;
        this.#renewals = 0;
      }
      alive();
      this.host.message(message, id ?? message?.params?._meta?.eventId ?? null, data.length);
    };
    try {
      return await (this.#sockets ? this.#socket(signal, alive, deliver) : this.#events(signal, alive, deliver));
    } finally {
      clearTimeout(timer);
    }
  }

  #headers(more: Record<string, string> = {}): Record<string, string> {
    const token = this.host.token();
    return token ? { ...more, Authorization: `Bearer ${token}` } : more;
  }

  async #events(
    signal: AbortSignal, alive: () => void, deliver: (data: string, id: string | null) => void,
  ): Promise<GatewayError | null> {
    const { client, last } = this.host.place();
    const query = client ? `?client_id=${encodeURIComponent(client)}` : '';
    const headers = this.#headers({ Accept: 'text/event-stream', ...(last && { 'Last-Event-ID': last }) });
    const response = await fetch(`${this.host.base}/events${query}`, {
      headers, cache: 'no-store', redirect: 'error', credentials: this.host.credentials, signal,
    });
    if (!response.ok || !response.headers.get('Content-Type')?.startsWith('text/event-stream')) return this.#refusal(response);
    alive();
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    const parser = new SseParser((e) => deliver(e.data, e.id), (ms) => { this.#base = Math.max(100, Math.min(ms, 30_000)); });
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return null;
      alive();
      parser.push(decoder.decode(value, { stream: true })); // a character may be split over two chunks
    }
  }

  /** A WebSocket can have no headers: a ticket, good for this one connection, stands for the session. */
  async #address(signal: AbortSignal): Promise<string | GatewayError> {
    const response = await fetch(`${this.host.base}/events/ticket`, {
      method: 'POST', headers: this.#headers(), cache: 'no-store', redirect: 'error', credentials: this.host.credentials, signal,
    });
    if (!response.ok) return this.#refusal(response);
    const query = new URLSearchParams({ ticket: (await response.json()).ticket });
    const { client, last } = this.host.place();
    if (client) query.set('client_id', client);
    if (last) query.set('last_event_id', last);
    return `${this.host.base}/ws?${query}`.replace(/^http/, 'ws');
  }

  async #socket(
    signal: AbortSignal, alive: () => void, deliver: (data: string, id: string | null) => void,
  ): Promise<GatewayError | null> {
    const url = await this.#address(signal);
    if (url instanceof GatewayError) return url;
    const socket = new (socketsOf(this.host.WebSocket)!)(url);
    const code = await new Promise<number>((resolve) => {
      signal.addEventListener('abort', () => { socket.close(); resolve(0); });
      socket.onopen = alive;
      socket.onmessage = (e) => deliver(String(e.data), null);
      socket.onclose = (e) => resolve(e.code);
      socket.onerror = () => {}; // close comes after it
    });
    this.#refused = code === CLOSE_SESSION;
    return null;
  }

  async #refusal(response: Response): Promise<GatewayError> {
    this.#refused = response.status === 401;
    if (response.ok) { // another program answers here
      response.body?.cancel().catch(() => {});
      return new UnavailableError('this is no event stream', 'no_stream', 0, { retryAfter: retryAfter(response.headers.get('Retry-After')) });
    }
    return errorOfResponse(response);
  }
}
