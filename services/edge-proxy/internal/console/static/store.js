import { parse } from './json.js';

const SESSION_KEY = 'noetl.session';
const STATE_KEY = 'noetl.console';
const SEEN_LIMIT = 500;
const RESULT_LIMIT = 64 * 1024;
const SAVE_DELAY_MS = 150;

// sessionStorage only: the token dies with the tab and is never shared with another one.
function read(key) {
  try {
    return parse(sessionStorage.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

export const session = {
  load() {
    const saved = read(SESSION_KEY);
    if (!saved?.token) return null;
    if (saved.expiresAt && Date.parse(saved.expiresAt) <= Date.now()) {
      this.clear();
      return null;
    }
    return saved;
  },
  save(value) { sessionStorage.setItem(SESSION_KEY, JSON.stringify(value)); },
  clear() { sessionStorage.removeItem(SESSION_KEY); },
};

function slim(run, limit) {
  if (run.result === undefined || JSON.stringify(run.result).length <= limit) return run;
  return { ...run, result: undefined, resultDropped: true };
}

/** Without its documents a watch begins again after a reload. */
function slimWatch(watch, limit) {
  return JSON.stringify(watch.docs).length <= limit ? watch : { ...watch, docs: null };
}

/**
 * The place in the stream, the cards and what is watched, saved under ONE key: a frame is either in all or in
 * none, so that a reload between two writes can neither lose nor repeat it.
 */
export class State {
  clientId = '';
  lastId = '';
  #userId;
  #seen;
  #runs = () => [];
  #watches = () => [];
  #timer = 0;

  constructor(userId) {
    this.#userId = userId;
    const saved = read(STATE_KEY);
    // A client_id belongs to the user who first got it.
    const own = saved?.userId === userId ? saved : null;
    this.clientId = own?.clientId ?? '';
    this.lastId = own?.lastId ?? '';
    this.#seen = new Set(own?.seen ?? []);
    this.savedRuns = own?.runs ?? [];
    this.savedWatches = own?.watches ?? [];
  }

  bind(runs, watches) {
    this.#runs = runs;
    this.#watches = watches;
  }

  forgetClient() {
    this.clientId = '';
    this.lastId = '';
    this.save();
  }

  isSeen(id) { return Boolean(id) && this.#seen.has(id); }

  /** Called after the frame was applied. Ids that cannot be a header value are not remembered. */
  advance(id) {
    if (id === null || !/^[\x21-\x7e]*$/.test(id)) return;
    this.lastId = id;
    if (id) this.#seen.add(id);
    if (this.#seen.size > SEEN_LIMIT) this.#seen.delete(this.#seen.values().next().value);
  }

  save() {
    if (!this.#timer) this.#timer = setTimeout(() => this.flush(), SAVE_DELAY_MS);
  }

  flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    // Over the quota the results go first, largest limit first; the place in the stream stays.
    for (const limit of [RESULT_LIMIT, 4096, 0]) {
      try {
        sessionStorage.setItem(STATE_KEY, JSON.stringify({
          userId: this.#userId,
          clientId: this.clientId,
          lastId: this.lastId,
          seen: [...this.#seen],
          runs: this.#runs().map((run) => slim(run, limit)),
          watches: this.#watches().map((watch) => slimWatch(watch, limit)),
        }));
        return;
      } catch { /* try again with less */ }
    }
  }

  clear() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    sessionStorage.removeItem(STATE_KEY);
  }
}

const claimed = new Set();

/**
 * A duplicated tab starts with a copy of sessionStorage, and two tabs on one client_id would push each
 * other off the stream. The first holds a lock; resolves to false in the other. The short wait
 * is for a reload, where the old page may let go a moment late.
 */
export function claim(clientId) {
  if (!clientId || !navigator.locks || claimed.has(clientId)) return Promise.resolve(true);
  return new Promise((resolve) => {
    navigator.locks.request(`noetl-client:${clientId}`, { signal: AbortSignal.timeout(1500) }, () => {
      claimed.add(clientId);
      resolve(true);
      return new Promise(() => {});
    }).catch((cause) => resolve(cause?.name !== 'TimeoutError' && cause?.name !== 'AbortError'));
  });
}
