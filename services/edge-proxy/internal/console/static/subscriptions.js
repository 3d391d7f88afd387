import { ApiError, getJSON, postJSON, readBody, reasonOf, send } from './api.js';
import { isObject, text } from './json.js';

const URL_ALL = '/api/subscriptions';
const EARLY_LIMIT = 5000;
const NO_STREAM_TRIES = 5;
const NO_STREAM_MS = 1000;

const REASONS = {
  closed: 'It was closed elsewhere.',
  session: 'The session has ended.',
  denied: 'You may not view this any more.',
  not_found: 'There is nothing to watch.',
  too_large: 'There is more than a subscription may hold.',
  source_gone: 'The gateway does not have this source any more.',
  stopped: 'You stopped it.',
};

const keyOf = (source, path) => `${source} ${path}`;

/** Why a watch has ended, as a sentence. */
export const reasonText = (watch) => REASONS[watch.reason] ?? watch.reason;

/**
 * What this page watches, over the one event stream. A watch is {source, path, label, state, reason, docs}: state is
 * starting, live or ended; docs are the documents by id, in the order in which they were added. It outlives a
 * reconnect and a reload, as long as the gateway keeps the subscription; else it is opened again.
 * hooks: token; clientId(); onState(watch); onDocument(watch, docId, op); onError(cause).
 */
export class Subscriptions {
  #hooks;
  #watches = new Map();
  #early = [];
  #opening = false;
  #left = false;
  #work = Promise.resolve();

  constructor(saved, hooks) {
    this.#hooks = hooks;
    for (const old of Array.isArray(saved) ? saved : []) {
      if (!isObject(old) || !old.source || !old.path) continue;
      const kept = Array.isArray(old.docs);
      this.#watches.set(keyOf(old.source, old.path), {
        ...old, docs: new Map(kept ? old.docs : []), stale: !kept, state: old.state === 'ended' ? 'ended' : 'starting',
      });
    }
  }

  /** The watches, as they are saved. */
  saved() { return this.all().map((watch) => ({ ...watch, docs: [...watch.docs] })); }

  all() { return [...this.#watches.values()]; }

  get(source, path) { return this.#watches.get(keyOf(source, path)); }

  watch(source, path, label = '') {
    const watch = this.get(source, path) ?? { source, path, label, id: '', docs: new Map() };
    this.#watches.set(keyOf(source, path), watch);
    this.#restart(watch);
  }

  /** Ends a watch; one that is forgotten is not shown any more. */
  stop(source, path, { forget = false } = {}) {
    const watch = this.get(source, path);
    if (!watch) return;
    if (forget) this.#watches.delete(keyOf(source, path));
    const { id } = watch;
    watch.id = '';
    this.#end(watch, 'stopped');
    if (id) this.#queue(() => this.#close(id));
  }

  /** Nothing is called any more: the person is gone. */
  leave() { this.#left = true; }

  /** After every first frame of a connection: what the gateway still has is kept, the rest is opened again. */
  connected() { this.#queue(() => this.#reconcile()); }

  disconnected() {
    for (const watch of this.all()) if (watch.state === 'live') this.#set(watch, 'starting');
  }

  /** Changes are missing, so what is known may be wrong. */
  gap() {
    for (const watch of this.all()) watch.stale = true;
    this.connected();
  }

  /** Takes subscription/event and subscription/ended. */
  apply(message) {
    const params = isObject(message.params) ? message.params : {};
    const id = text(params.subscription_id);
    const watch = id && this.all().find((one) => one.id === id);
    if (!watch) {
      // Documents may come before the answer that says whose they are.
      if (this.#opening && this.#early.length < EARLY_LIMIT) this.#early.push(message);
      return;
    }
    if (message.method === 'subscription/ended') {
      watch.id = '';
      // It ended because there was no connection, and now there is one.
      if (params.reason === 'expired') this.#restart(watch);
      else this.#end(watch, text(params.reason));
      return;
    }
    const docId = text(params.doc_id);
    if (params.op === 'removed') watch.docs.delete(docId);
    else watch.docs.set(docId, params.data);
    this.#hooks.onDocument(watch, docId, text(params.op));
  }

  #set(watch, state, reason = '') {
    const told = watch.state === state && watch.reason === reason;
    watch.state = state;
    watch.reason = reason;
    if (!told && !this.#left) this.#hooks.onState(watch);
  }

  #end(watch, reason) {
    watch.failed = false;
    this.#set(watch, 'ended', reason);
  }

  #restart(watch) {
    watch.failed = false;
    this.#set(watch, 'starting');
    this.#queue(() => this.#open(watch));
  }

  /** The next connection tries again what failed for want of an answer. */
  #fail(watch, cause) {
    this.#set(watch, 'ended', cause.message);
    watch.failed = true;
  }

  /** One call after the other, so that none acts on what another is about to change. */
  #queue(task) {
    this.#work = this.#work.then(async () => {
      if (this.#left || !this.#hooks.clientId()) return;
      try {
        await task();
      } catch (cause) {
        if (!this.#left) this.#hooks.onError(cause);
      }
    });
  }

  async #reconcile() {
    for (const watch of this.all()) if (watch.failed) this.#set(watch, 'starting');
    const wanted = () => this.all().filter((watch) => watch.state !== 'ended');
    let list = [];
    try {
      const answer = await getJSON(URL_ALL, { headers: { Authorization: `Bearer ${this.#hooks.token}` } });
      list = Array.isArray(answer.subscriptions) ? answer.subscriptions : [];
    } catch (cause) {
      if (cause.status === 401) throw cause;
      for (const watch of wanted()) this.#fail(watch, cause);
      return;
    }
    const mine = new Set(list.filter((one) => text(one?.client_id) === this.#hooks.clientId()).map((one) => text(one.subscription_id)));
    for (const watch of wanted()) {
      if (mine.has(watch.id) && !watch.stale) {
        mine.delete(watch.id);
        this.#set(watch, 'live');
      } else {
        watch.id = '';
        this.#set(watch, 'starting');
      }
    }
    // No watch has these: they are stale, or their answer was lost with the page that asked.
    for (const id of mine) await this.#close(id);
    for (const watch of wanted()) if (!watch.id) await this.#open(watch);
  }

  async #open(watch, tries = NO_STREAM_TRIES) {
    if (watch.state !== 'starting' || watch.id) return;
    this.#opening = true;
    try {
      const asked = { source: watch.source, path: watch.path, client_id: this.#hooks.clientId() };
      const id = text((await postJSON(URL_ALL, asked, this.#hooks.token)).subscription_id);
      if (watch.state !== 'starting') {
        await this.#close(id); // somebody stopped it meanwhile
        return;
      }
      watch.id = id;
      watch.stale = false;
      watch.docs.clear();
      this.#hooks.onDocument(watch, '', '');
      this.#set(watch, 'live');
      for (const message of this.#early) if (text(message.params?.subscription_id) === id) this.apply(message);
    } catch (cause) {
      if (cause.status === 401) throw cause;
      // The stream is gone and comes back, or the gateway does not yet know of it.
      if (cause.status === 409 && tries > 1) setTimeout(() => this.#queue(() => this.#open(watch, tries - 1)), NO_STREAM_MS);
      else if (watch.state === 'starting') this.#fail(watch, cause);
    } finally {
      this.#opening = false;
      this.#early = [];
    }
  }

  async #close(id) {
    const response = await send(`${URL_ALL}/${encodeURIComponent(id)}`, {
      method: 'DELETE', headers: { Authorization: `Bearer ${this.#hooks.token}` },
    });
    // One that is gone already is what was asked for.
    if (!response.ok && response.status !== 404) throw new ApiError(reasonOf(response.status, await readBody(response)), response.status);
  }
}
