import type { ConnectOptions } from './api.js';

/** An unfinished run, as it is kept over a reload. */
export interface RunRecord {
  id: string;
  playbook: string;
  execution?: string;
  /** Whether only its result is to be fetched. */
  large?: boolean;
  /** To start it again when the answer was lost; gone as soon as it is known to have started. */
  start?: { rerun?: string; variables?: Record<string, unknown>; kind?: string };
}

export interface Saved {
  tab: string;
  client?: string;
  last?: string;
  runs: RunRecord[];
  /** Open subscriptions, which a reload leaves behind. */
  subs: string[];
}

const SAVE_MS = 100;
const inUse = new Set<string>(); // keys of this page: two gateways must not write one

/** What a tab keeps: all under one key, so that a frame is either applied and remembered, or neither. */
export class Store {
  readonly #storage: ConnectOptions['storage'];
  readonly #key: string;
  readonly #claimed: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #snapshot: (() => Saved) | null = null;
  readonly #flush = () => this.flush();

  constructor(base: string, storage: ConnectOptions['storage']) {
    this.#key = `noetl.gateway:${base}`;
    let there = storage;
    try {
      if (there === undefined) there = globalThis.sessionStorage;
    } catch { /* a page that may not store anything */ }
    const common = storage === undefined;
    this.#storage = there && !(common && inUse.has(this.#key)) ? there : null;
    this.#claimed = common && Boolean(this.#storage);
    if (this.#claimed) inUse.add(this.#key);
  }

  load(): Saved | null {
    try {
      const saved = JSON.parse(this.#storage?.getItem(this.#key) ?? 'null');
      return typeof saved?.tab === 'string' && Array.isArray(saved.runs) && Array.isArray(saved.subs) ? saved : null;
    } catch {
      return null;
    }
  }

  begin(snapshot: () => Saved): void {
    this.#snapshot = snapshot;
    globalThis.addEventListener?.('pagehide', this.#flush);
    this.flush();
  }

  save(): void {
    if (this.#storage) this.#timer ??= setTimeout(this.#flush, SAVE_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#snapshot || !this.#storage) return;
    const all = this.#snapshot();
    const noInput = { ...all, runs: all.runs.map(({ start: _, ...run }) => run) };
    // Over the quota the inputs go first, then the runs. The place stays.
    for (const some of [all, noInput, { ...all, runs: [], subs: [] }]) {
      try {
        return this.#storage.setItem(this.#key, JSON.stringify(some));
      } catch { /* with less */ }
    }
    this.#remove(); // an old place with old runs would be worse than none
  }

  /** Keeps what is there, and takes no more. */
  pause(): void {
    this.#snapshot = null;
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.('pagehide', this.#flush);
  }

  /** Forgets everything. */
  end(): void {
    this.pause();
    this.#remove();
    if (this.#claimed) inUse.delete(this.#key);
  }

  #remove(): void {
    try {
      this.#storage?.removeItem(this.#key);
    } catch { /* it was never there */ }
  }
}
