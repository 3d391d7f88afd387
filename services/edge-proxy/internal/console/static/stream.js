import { parse } from './json.js';
import { SseParser } from './sse.js';

const SILENCE_MS = 75000; // the gateway pings every 30 s: two and a half of them missed
const BASE_MS = 1000;
const CAP_MS = 30000;
const STEADY_MS = 5000;

/** Capped exponential backoff with jitter: half fixed, half random, so that a restart is not met by all clients concurrently. */
export function backoff(attempt, base = BASE_MS, random = Math.random) {
  const full = Math.min(CAP_MS, base * 2 ** Math.min(attempt, 16));
  return full / 2 + random() * full / 2;
}

function retryAfterMs(response) {
  const seconds = Number(response.headers.get('Retry-After'));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, 2 * CAP_MS) : 0;
}

/** How often in a row a WebSocket may fail before its first message; then it is not the way here. */
const SOCKET_TRIES = 2;
const CLOSE_SESSION = 4401; // 401 in the private range of close codes

/**
 * The one connection for frames, kept alive until stop(): a WebSocket, because over HTTP/1.1 a browser gives a host
 * six connections for all tabs together, and an event stream holds one of them. Where no WebSocket gets through it is
 * an event stream, by fetch rather than EventSource: fetch sends the token and the position as headers.
 * hooks: position() → {clientId, lastId}; onMessage(message, id); onState(state); onUnauthorized().
 */
export class EventStream {
  #token;
  #hooks;
  #stopped = false;
  #attempt = 0;
  #base = BASE_MS;
  #abort = null;
  #wake = null;
  #socketFailures = 0;

  constructor(token, hooks) {
    this.#token = token;
    this.#hooks = hooks;
  }

  async run() {
    this.#hooks.onState('connecting');
    while (!this.#stopped) {
      const began = performance.now();
      const floor = await this.#once();
      if (this.#stopped) return;
      // A server that accepts and hangs up immediately must not reset the backoff.
      if (performance.now() - began > STEADY_MS) this.#attempt = 0;
      // navigator.onLine only words the pill: it is false on hosts where loopback works well.
      this.#hooks.onState(navigator.onLine ? 'reconnecting' : 'offline');
      await this.#pause(Math.max(floor, backoff(this.#attempt, this.#base)));
      this.#attempt += 1;
    }
  }

  stop() {
    this.#stopped = true;
    this.#abort?.abort();
    this.#wake?.();
  }

  /** Ends a waiting pause: the network is back. */
  retryNow() {
    this.#attempt = 0;
    this.#wake?.();
  }

  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => { clearTimeout(timer); resolve(); };
    });
  }

  /** One connection, from request to its end; returns the least wait before the next one. */
  async #once() {
    const abort = this.#abort = new AbortController();
    let watchdog = 0;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    alive();
    try {
      return await (this.#socketFailures < SOCKET_TRIES ? this.#socket(abort.signal, alive) : this.#events(abort.signal, alive));
    } catch (cause) {
      if (!this.#stopped && cause?.name !== 'AbortError') console.info('event stream ended:', cause?.message);
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
    return 0;
  }

  /** A WebSocket takes no headers: a ticket, good for this one connection, stands for the token. */
  async #socket(signal, alive) {
    const response = await fetch('/events/ticket', {
      method: 'POST', headers: { Authorization: `Bearer ${this.#token}` }, cache: 'no-store', credentials: 'same-origin', signal,
    });
    if (!response.ok) return this.#rejected(response);
    const { ticket } = await response.json();
    const query = new URLSearchParams({ ticket });
    const { clientId, lastId } = this.#hooks.position();
    if (clientId) query.set('client_id', clientId);
    if (lastId) query.set('last_event_id', lastId);
    const url = new URL(`/ws?${query}`, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url);
    signal.addEventListener('abort', () => socket.close());
    let spoken = false;
    socket.addEventListener('message', (event) => {
      spoken = true;
      alive();
      this.#deliver(event.data, null);
    });
    const code = await new Promise((resolve) => socket.addEventListener('close', (event) => resolve(event.code)));
    this.#socketFailures = spoken ? 0 : this.#socketFailures + 1;
    if (code === CLOSE_SESSION && !this.#stopped) {
      this.stop();
      this.#hooks.onUnauthorized();
    }
    return 0;
  }

  async #events(signal, alive) {
    const { clientId, lastId } = this.#hooks.position();
    const headers = { Authorization: `Bearer ${this.#token}`, Accept: 'text/event-stream' };
    if (lastId) headers['Last-Event-ID'] = lastId;
    const url = clientId ? `/events?client_id=${encodeURIComponent(clientId)}` : '/events';
    const response = await fetch(url, { headers, cache: 'no-store', credentials: 'same-origin', signal });
    if (!response.ok || !response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      response.body?.cancel().catch(() => {});
      return this.#rejected(response);
    }
    await this.#read(response.body, alive);
    return 0;
  }

  #rejected(response) {
    if (response.status === 401) {
      this.stop();
      this.#hooks.onUnauthorized();
    }
    return retryAfterMs(response);
  }

  async #read(body, alive) {
    const reader = body.getReader();
    // stream: true holds back a character whose bytes are split over two chunks.
    const decoder = new TextDecoder();
    const parser = new SseParser((event) => this.#deliver(event.data, event.id), (ms) => { this.#base = Math.max(100, Math.min(ms, CAP_MS)); });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      parser.push(decoder.decode(value, { stream: true }));
    }
  }

  /** id is that of the event; a WebSocket has it in the message. */
  #deliver(data, id) {
    if (this.#stopped) return;
    let message;
    try {
      message = parse(data);
    } catch {
      console.warn('a frame is not JSON');
      return;
    }
    if (message?.result?.clientId) this.#hooks.onState('live');
    this.#hooks.onMessage(message, id ?? message?.params?._meta?.eventId ?? null);
  }
}
