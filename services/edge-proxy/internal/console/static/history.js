import { byId, el, setText, timeText } from './dom.js';
import { Reader } from './reader.js';
import { LABELS, durationText, sentence } from './words.js';

const PAGE = 10;
const TYPING_MS = 250;

function dayText(value) {
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) return '';
  const today = new Date().toDateString() === date.toDateString();
  return today ? timeText(value) : `${date.toLocaleDateString()} ${timeText(value)}`;
}

class Row {
  constructor(id, does) {
    const titleId = `execution-${id}`;
    this.title = el('h3', { id: titleId });
    this.status = el('span', { class: 'chip' });
    this.started = el('time');
    this.took = el('span');
    this.show = el('button', { type: 'button', class: 'small', 'data-testid': 'follow', 'aria-describedby': titleId });
    this.show.addEventListener('click', () => does.onShow(this.one, this.show));
    this.again = el('button', { type: 'button', class: 'quiet small', 'data-testid': 'history-rerun', 'aria-describedby': titleId }, 'Run again');
    this.again.addEventListener('click', () => does.onRerun(this.one, this.again));
    this.root = el('li', { class: 'execution', 'data-testid': 'execution', 'data-execution-id': id },
      el('div', { class: 'card-head' }, this.title, this.status),
      el('p', { class: 'when' }, this.started, this.took, el('code', { class: 'id' }, id)),
      el('div', { class: 'row-actions' }, this.show, this.again));
  }

  tell(one) {
    this.one = one;
    setText(this.title, one.path || 'Execution');
    Object.assign(this.root.dataset, { path: one.path, status: one.status });
    setText(this.status, LABELS[one.status] ?? one.status);
    this.started.dateTime = one.started;
    setText(this.started, dayText(one.started));
    setText(this.took, one.status === 'running' ? '' : durationText(Date.parse(one.ended) - Date.parse(one.started)));
    setText(this.show, one.status === 'running' ? 'Follow' : 'Show');
    this.again.hidden = one.status === 'running';
  }
}

/**
 * The executions that the person may view, whatever started them, with a search, a filter and pages. does:
 * onShow(execution, button), onRerun(execution, button), {id, path, status} each.
 */
export class History {
  #gateway = null;
  #does;
  #reader = null;
  #page = 0;
  #rows = new Map();
  #told = new Map();
  #loading = null;
  #again = false;
  #typing = 0;
  #list = byId('executions');
  #search = byId('history-search');
  #state = byId('history-state');

  constructor(does) {
    this.#does = does;
    // What other tabs and programs ran meanwhile.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.#page === 0) this.refresh();
    });
    byId('executions-refresh').addEventListener('click', () => this.refresh());
    byId('history-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#begin();
    });
    this.#search.addEventListener('input', () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#begin(), TYPING_MS);
    });
    this.#state.addEventListener('change', () => this.#begin());
    byId('history-newer').addEventListener('click', (event) => this.#turn(-1, event.currentTarget));
    byId('history-older').addEventListener('click', (event) => this.#turn(1, event.currentTarget));
  }

  begin(gateway) {
    this.#gateway = gateway;
    byId('executions-panel').hidden = false;
    this.refresh();
  }

  leave() {
    this.#gateway = null;
    this.#reader = null;
    this.#page = 0;
    this.#rows.clear();
    this.#told.clear();
    this.#list.replaceChildren();
    this.#search.value = '';
    this.#state.value = '';
    byId('executions-panel').hidden = true;
  }

  /** A run of this page began or ended: the newest page shows it. */
  note(run) {
    if (!run.executionId || this.#told.get(run.executionId) === run.status) return;
    this.#told.set(run.executionId, run.status);
    if (this.#page === 0) this.refresh();
  }

  /** Another look at the list; calls that overlap share one. */
  refresh() {
    if (!this.#gateway) return;
    if (this.#loading) {
      this.#again = true;
      return;
    }
    this.#loading = this.#load(this.#gateway).finally(() => {
      this.#loading = null;
      const again = this.#again;
      this.#again = false;
      if (again) this.refresh();
    });
  }

  #begin() {
    clearTimeout(this.#typing);
    this.#page = 0;
    this.refresh();
  }

  get #narrowed() { return Boolean(this.#search.value.trim() || this.#state.value); }

  async #turn(by, button) {
    if (!this.#reader || this.#loading) return;
    this.#page = Math.max(0, this.#page + by);
    this.#loading = this.#fill(this.#gateway, this.#reader);
    await this.#loading;
    this.#loading = null;
    // A button that can do no more loses the focus.
    if (button.disabled) byId('history-status').focus();
  }

  async #load(gateway) {
    await this.#fill(gateway, new Reader(gateway, { state: this.#state.value, search: this.#search.value }));
  }

  async #fill(gateway, reader) {
    const error = byId('executions-error');
    try {
      // One more than is shown tells whether there is another page.
      await reader.fill((this.#page + 1) * PAGE + 1);
      if (this.#gateway !== gateway) return;
      this.#reader = reader;
      setText(error, '');
      this.#show();
    } catch (cause) {
      if (this.#gateway === gateway) setText(error, `The executions cannot be listed: ${sentence(cause)}`);
    }
  }

  /** Rows are kept where they are, so that the focus stays. */
  #show() {
    const { found, looked, ended } = this.#reader;
    this.#page = Math.min(this.#page, Math.max(0, Math.ceil(found.length / PAGE) - 1));
    const from = this.#page * PAGE;
    const shown = found.slice(from, from + PAGE);
    const ids = new Set(shown.map((one) => one.id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.root.remove();
      this.#rows.delete(id);
    }
    shown.forEach((one, at) => {
      if (!this.#rows.has(one.id)) this.#rows.set(one.id, new Row(one.id, this.#does));
      const row = this.#rows.get(one.id);
      row.tell(one);
      if (this.#list.children[at] !== row.root) this.#list.insertBefore(row.root, this.#list.children[at] ?? null);
    });
    byId('history-newer').disabled = this.#page === 0;
    byId('history-older').disabled = ended && found.length <= from + PAGE;
    const range = shown.length ? `${from + 1} to ${from + shown.length}` : 'None';
    const of = ended ? ` of ${found.length}` : found.length > from + PAGE ? '' : ' so far';
    setText(byId('history-status'), looked === 0 && ended && !this.#narrowed ? 'None yet' : `${range}${of}`);
  }
}
