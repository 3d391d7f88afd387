import { parse } from './json.js';

const KEY = 'noetl.console';
const RESULT_LIMIT = 64 * 1024;
const SAVE_DELAY_MS = 150;

// sessionStorage only: what one tab shows dies with it. The session itself is a cookie that no script can read.
function read() {
  try {
    return parse(sessionStorage.getItem(KEY) ?? 'null');
  } catch {
    return null;
  }
}

function slim(run, limit) {
  if (run.result === undefined || JSON.stringify(run.result).length <= limit) return run;
  return { ...run, result: undefined, resultDropped: true };
}

/**
 * What a tab keeps over a reload: the cards, the last playbook and the variables of each. It belongs to one user. The
 * place in the event stream is kept by the library.
 */
export class State {
  #userId;
  #runs = () => [];
  #form = () => ({});
  #timer = 0;

  constructor(userId) {
    this.#userId = userId;
    const saved = read();
    const own = saved?.userId === userId ? saved : null;
    this.savedRuns = Array.isArray(own?.runs) ? own.runs : [];
    this.savedForm = own?.form ?? {};
  }

  /** What is saved from now on. */
  bind(runs, form) {
    this.#runs = runs;
    this.#form = form;
  }

  save() {
    if (!this.#timer) this.#timer = setTimeout(() => this.flush(), SAVE_DELAY_MS);
  }

  flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    // Over the quota the results go first, largest limit first.
    for (const limit of [RESULT_LIMIT, 4096, 0]) {
      try {
        sessionStorage.setItem(KEY, JSON.stringify({
          userId: this.#userId, form: this.#form(), runs: this.#runs().map((run) => slim(run, limit)),
        }));
        return;
      } catch { /* try again with less */ }
    }
  }

  clear() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    sessionStorage.removeItem(KEY);
  }
}
