import { bodyOf, isObject, text } from './json.js';
import { endOf } from './words.js';

const WINDOW = 50; // executions of one request
const WINDOWS = 5; // requests of one call

/**
 * Reads the executions that a person may view, newest first, window by window. Servers differ in what they can do: the
 * Rust server pages by limit and offset and filters by status, the Python server knows page and page_size only. Each
 * gets both and skips what it does not know; what is left is filtered here. No server searches beyond the window that
 * it was asked for, so the search is done here.
 */
export class Reader {
  #gateway;
  #state;
  #search;
  #seen = new Set();
  #next = 0;
  #ended = false;
  found = [];

  constructor(gateway, { state = '', search = '' } = {}) {
    this.#gateway = gateway;
    this.#state = state;
    this.#search = search.trim().toLowerCase();
  }

  /** There is nothing older. */
  get ended() { return this.#ended; }

  /** How many executions were looked through. */
  get looked() { return this.#seen.size; }

  /** Reads until so many are found, the list ends, or enough was read for one call. */
  async fill(count) {
    for (let windows = 0; this.found.length < count && !this.#ended && windows < WINDOWS; windows++) await this.#read();
  }

  async #read() {
    const query = new URLSearchParams({
      limit: WINDOW, offset: this.#next * WINDOW, page_size: WINDOW, page: this.#next + 1,
    });
    if (this.#state) query.set('status', this.#state.toUpperCase());
    const body = await bodyOf(await this.#gateway.fetch(`/noetl/executions?${query}`));
    const rows = (Array.isArray(body) ? body : body?.executions ?? []).filter(isObject);
    this.#next += 1;
    // The gateway takes out what the person may not view, so that a short window is not the last one.
    if (rows.length === 0) this.#ended = true;
    for (const row of rows) this.#take(row);
  }

  #take(row) {
    const one = {
      id: text(row.execution_id), path: text(row.path), status: endOf(row.status) || 'running',
      started: text(row.started_at ?? row.start_time), ended: text(row.completed_at ?? row.end_time),
    };
    // Windows move when executions are started meanwhile.
    if (!one.id || this.#seen.has(one.id)) return;
    this.#seen.add(one.id);
    if (this.#state && one.status !== this.#state) return;
    if (this.#search && !one.path.toLowerCase().includes(this.#search) && !one.id.includes(this.#search)) return;
    this.found.push(one);
  }
}
