import { ApiError, readBody, reasonOf, send } from './api.js';
import { byId, el, setText, timeText } from './dom.js';
import { isObject, text } from './json.js';
import { statusOf } from './runs.js';
import { reasonText } from './subscriptions.js';

const SOURCE = 'execution';
const LIST_LIMIT = 10;
const EVENT_LIMIT = 100;
const LABELS = { running: 'Running', completed: 'Completed', failed: 'Failed', cancelled: 'Cancelled' };
const STATES = { starting: 'Starting', live: 'Live', ended: 'Ended' };

/** One execution, and its events while it is followed. */
class Row {
  #shown = 0;

  constructor(id, onToggle) {
    this.id = id;
    const titleId = `execution-${id}`;
    this.title = el('h3', { id: titleId });
    this.status = el('span', { class: 'chip' });
    this.started = el('time');
    this.toggle = el('button', { type: 'button', class: 'small', 'data-testid': 'follow', 'aria-describedby': titleId });
    this.toggle.addEventListener('click', () => onToggle(this));
    this.state = el('span', {});
    this.pill = el('p', { class: 'pill', role: 'status', 'data-testid': 'follow-status' },
      el('span', { class: 'dot', 'aria-hidden': 'true' }), el('span', { class: 'visually-hidden' }, 'Follow: '), this.state);
    this.reason = el('p', { class: 'error-text' });
    this.waiting = el('p', { class: 'help' }, 'No events yet.');
    this.events = el('ol', { class: 'states', 'aria-label': 'Events', 'data-testid': 'follow-events' });
    this.follow = el('div', { class: 'follow', hidden: true }, this.pill, this.reason, this.waiting, this.events);
    this.root = el('li', { class: 'execution', 'data-testid': 'execution', 'data-execution-id': id },
      el('div', { class: 'card-head' }, this.title, this.status),
      el('p', { class: 'when' }, this.started, el('code', { class: 'id' }, id)),
      this.toggle, this.follow);
    this.tell({});
  }

  tell({ path = '', status = '', started = '' }) {
    if (path || !this.title.textContent) setText(this.title, path || 'Execution');
    this.root.dataset.path = this.title.textContent;
    this.tellStatus(status);
    if (!started) return;
    this.started.dateTime = started;
    setText(this.started, timeText(started));
  }

  tellStatus(status) {
    if (!status) return;
    this.root.dataset.status = status;
    setText(this.status, LABELS[status] ?? status);
  }

  showState(watch) {
    const on = Boolean(watch);
    this.follow.hidden = !on;
    setText(this.toggle, on && watch.state !== 'ended' ? 'Stop' : on ? 'Follow again' : 'Follow');
    if (!on) return this.showEvents(null);
    this.pill.dataset.state = watch.state;
    setText(this.state, STATES[watch.state]);
    setText(this.reason, watch.state === 'ended' ? reasonText(watch) : '');
    return this.showEvents(watch);
  }

  /** Everything again; what is new is appended by showEvent. */
  showEvents(watch) {
    this.events.replaceChildren();
    this.#shown = 0;
    for (const [, event] of watch?.docs ?? []) this.showEvent(event);
    this.#refresh();
  }

  showEvent(data) {
    const event = isObject(data) ? data : {};
    const type = text(event.event_type);
    this.events.append(el('li', { 'data-event-type': type },
      el('span', { class: 'event' }, type || 'event'),
      el('span', { class: 'step' }, text(event.step_name)),
      el('time', { datetime: text(event.at) }, timeText(text(event.at)))));
    if (++this.#shown > EVENT_LIMIT) this.events.firstElementChild.remove();
    if (type.startsWith('playbook.')) this.tellStatus(statusOf(type.slice('playbook.'.length)));
    this.#refresh();
  }

  #refresh() {
    this.events.hidden = this.#shown === 0;
    this.waiting.hidden = this.#shown > 0 || this.pill.dataset.state === 'ended';
  }
}

/** The latest executions that the person may view, whatever started them, each with a button that follows it. */
export class Executions {
  #token = '';
  #subscriptions = null;
  #rows = new Map();
  #listed = [];
  #told = new Map();
  #loading = null;
  #again = false;
  #list = byId('executions');

  constructor() {
    byId('executions-refresh').addEventListener('click', () => this.refresh());
  }

  owns(watch) { return watch.source === SOURCE; }

  begin(subscriptions, token) {
    if (this.#subscriptions === subscriptions) return;
    this.#subscriptions = subscriptions;
    this.#token = token;
    byId('executions-panel').hidden = false;
    this.#show();
    this.refresh();
  }

  leave() {
    this.#subscriptions = null;
    this.#listed = [];
    this.#rows.clear();
    this.#told.clear();
    this.#list.replaceChildren();
    byId('executions-panel').hidden = true;
  }

  /** Another look at the list; calls that overlap share one. */
  refresh() {
    if (!this.#subscriptions) return;
    if (this.#loading) {
      this.#again = true;
      return;
    }
    this.#loading = this.#load().finally(() => {
      this.#loading = null;
      const again = this.#again;
      this.#again = false;
      if (again) this.refresh();
    });
  }

  /** A run of this page began or ended. */
  note(run) {
    if (!run.executionId || this.#told.get(run.executionId) === run.status) return;
    this.#told.set(run.executionId, run.status);
    this.refresh();
  }

  showState(watch) {
    const shown = this.#subscriptions?.get(SOURCE, watch.path);
    this.#rowOf(watch.path).showState(shown);
    if (!shown) this.#show();
  }

  showDocument(watch, docId) {
    const row = this.#rowOf(watch.path);
    if (!docId) row.showEvents(watch);
    else if (watch.docs.has(docId)) row.showEvent(watch.docs.get(docId));
    while (watch.docs.size > EVENT_LIMIT) watch.docs.delete(watch.docs.keys().next().value);
  }

  async #load() {
    const mine = this.#subscriptions;
    const error = byId('executions-error');
    try {
      const response = await send(`/noetl/executions?limit=${LIST_LIMIT}`, { headers: { Authorization: `Bearer ${this.#token}` } });
      const body = await readBody(response);
      if (!response.ok) throw new ApiError(reasonOf(response.status, body), response.status);
      if (this.#subscriptions !== mine) return;
      this.#listed = (Array.isArray(body) ? body : body?.executions ?? []).filter(isObject).slice(0, LIST_LIMIT);
      setText(error, '');
      this.#show();
    } catch (cause) {
      if (this.#subscriptions === mine) setText(error, `The executions cannot be listed: ${cause.message}`);
    }
  }

  #rowOf(id) {
    if (!this.#rows.has(id)) this.#rows.set(id, new Row(id, (row) => this.#toggle(row)));
    return this.#rows.get(id);
  }

  #toggle(row) {
    const watch = this.#subscriptions.get(SOURCE, row.id);
    if (watch && watch.state !== 'ended') this.#subscriptions.stop(SOURCE, row.id, { forget: true });
    else this.#subscriptions.watch(SOURCE, row.id, row.title.textContent);
  }

  /** Rows are kept where they are, so that the focus stays; followed ones stay although newer ones come. */
  #show() {
    const ids = [];
    for (const execution of this.#listed) {
      const id = text(execution.execution_id);
      if (!id) continue;
      ids.push(id);
      this.#rowOf(id).tell({
        path: text(execution.path), status: statusOf(execution.status) || 'running', started: text(execution.started_at ?? execution.start_time),
      });
    }
    for (const watch of this.#subscriptions.all()) {
      if (!this.owns(watch) || ids.includes(watch.path)) continue;
      ids.push(watch.path);
      this.#rowOf(watch.path).tell({ path: watch.label });
    }
    for (const [id, row] of this.#rows) {
      if (ids.includes(id)) continue;
      row.root.remove();
      this.#rows.delete(id);
    }
    ids.forEach((id, at) => {
      const row = this.#rowOf(id);
      if (!row.root.isConnected) row.showState(this.#subscriptions.get(SOURCE, id));
      if (this.#list.children[at] !== row.root) this.#list.insertBefore(row.root, this.#list.children[at] ?? null);
    });
    byId('executions-empty').hidden = ids.length > 0;
  }
}
