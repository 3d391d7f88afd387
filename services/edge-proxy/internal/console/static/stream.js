import { parse } from './json.js';
import { SseParser } from './sse.js';

const SILENCE_MS = 75000; // the gateway pings every 30 s: two and a half of them missed
const BASE_MS = 1000;
const CAP_MS = 30000;
const STEADY_MS = 5000;

/** Capped exponential backoff with jitter: half fixed, half random, so that a restart is not met by all clients at once. */
export function backoff(attempt, base = BASE_MS, random = Math.random) {
  const full = Math.min(CAP_MS, base * 2 ** Math.min(attempt, 16));
  return full / 2 + random() * full / 2;
}

function retryAfterMs(response) {
  const seconds = Number(response.headers.get('Retry-After'));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, 2 * CAP_MS) : 0;
}

/**
 * The one connection to /events, kept alive until stop(). fetch rather than EventSource: it can send
 * the token and the position as headers, so neither ever stands in a URL or a log.
 * hooks: position() → {clientId, lastId}; onMessage(message, id); onState(state);
 * onUnauthorized(); onRefused() when the remembered client_id is not ours any more.
 */
export class EventStream {
  #token;
  #hooks;
  #stopped = false;
  #attempt = 0;
  #base = BASE_MS;
  #abort = null;
  #wake = null;

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
      // A server that accepts and hangs up at once must not reset the backoff.
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
      const { clientId, lastId } = this.#hooks.position();
      const headers = { Authorization: `Bearer ${this.#token}`, Accept: 'text/event-stream' };
      if (lastId) headers['Last-Event-ID'] = lastId;
      const url = clientId ? `/events?client_id=${encodeURIComponent(clientId)}` : '/events';
      const response = await fetch(url, { headers, cache: 'no-store', credentials: 'same-origin', signal: abort.signal });
      if (!response.ok || !response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
        response.body?.cancel().catch(() => {});
        return this.#rejected(response, clientId);
      }
      await this.#read(response.body, alive);
    } catch (cause) {
      if (!this.#stopped && cause?.name !== 'AbortError') console.info('event stream ended:', cause?.message);
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
    return 0;
  }

  #rejected(response, clientId) {
    if (response.status === 401) {
      this.stop();
      this.#hooks.onUnauthorized();
    } else if (response.status === 403 && clientId) {
      this.#hooks.onRefused();
    }
    return retryAfterMs(response);
  }

  async #read(body, alive) {
    const reader = body.getReader();
    // stream: true holds back a character whose bytes are split over two chunks.
    const decoder = new TextDecoder();
    const parser = new SseParser((event) => this.#deliver(event), (ms) => { this.#base = Math.max(100, Math.min(ms, CAP_MS)); });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      parser.push(decoder.decode(value, { stream: true }));
    }
  }

  #deliver(event) {
    if (this.#stopped) return;
    let message;
    try {
      message = parse(event.data);
    } catch {
      console.warn('a frame is not JSON', event.type);
      return;
    }
    if (message?.result?.clientId) this.#hooks.onState('live');
    this.#hooks.onMessage(message, event.id);
  }
}
