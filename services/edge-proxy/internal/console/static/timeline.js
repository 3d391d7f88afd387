import { announce, copyText, el, setText, timeText } from './dom.js';
import { pretty } from './json.js';
import { isOver } from './runs.js';

const LABELS = { started: 'Started', running: 'Running', completed: 'Completed', failed: 'Failed', cancelled: 'Cancelled' };
const SHOWN_LIMIT = 200000;

const nameOf = (run) => run.name || 'Unnamed run';

function duration(run) {
  const ms = Date.parse(run.endedAt) - Date.parse(run.startedAt);
  if (!(ms >= 0)) return '';
  if (ms < 1000) return `${ms} ms`;
  return ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60000)} min ${Math.round(ms % 60000 / 1000)} s`;
}

function idRow(label) {
  const value = el('code', { class: 'id' });
  const copy = el('button', { type: 'button', class: 'quiet small', 'aria-label': `Copy ${label.toLowerCase()}` }, 'Copy');
  copy.addEventListener('click', () => copyText(value.textContent, copy));
  const row = el('div', { class: 'id-row', hidden: true }, el('dt', {}, label), el('dd', {}, value, copy));
  return { row, set: (text) => { row.hidden = !text; setText(value, text); } };
}

/** One card, built once and then changed in place, so that focus, selection and scroll stay put. */
class Card {
  #shownStates = '';
  #shownResult = null;

  constructor(run, onFetch) {
    const titleId = `${run.key}-title`;
    this.title = el('h3', { id: titleId });
    this.status = el('span', { class: 'chip', 'data-testid': 'run-status' });
    this.started = el('time');
    this.took = el('span', { class: 'took' });
    this.request = idRow('Request');
    this.execution = idRow('Execution');
    this.bar = el('progress', { max: '1', value: '0', 'aria-labelledby': titleId, 'data-testid': 'run-progress' });
    this.percent = el('span', { class: 'percent', 'aria-hidden': 'true' });
    this.message = el('p', { class: 'message' });
    this.states = el('ol', { class: 'states', 'aria-label': 'Lifecycle', 'data-testid': 'run-states' });
    this.error = el('p', { class: 'run-error', hidden: true });
    // Scrolls inside, so it must be reachable by keyboard.
    this.result = el('pre', { tabindex: '0', role: 'region', 'aria-label': 'Result', 'data-testid': 'run-result', hidden: true });
    this.fetch = el('button', { type: 'button', class: 'quiet small', hidden: true, 'data-testid': 'run-fetch' }, 'Fetch the result');
    this.fetch.addEventListener('click', () => onFetch(run, this.fetch));
    this.root = el('li', {},
      el('article', { class: 'card', 'aria-labelledby': titleId, 'data-testid': 'run-card' },
        el('header', { class: 'card-head' }, this.title, this.status),
        el('p', { class: 'when' }, this.started, this.took),
        el('dl', { class: 'ids' }, this.request.row, this.execution.row),
        el('div', { class: 'progress-row' }, this.bar, this.percent),
        this.message, this.states, this.error, this.fetch, this.result));
    this.article = this.root.firstElementChild;
  }

  update(run) {
    this.article.dataset.requestId = run.requestId;
    this.article.dataset.executionId = run.executionId;
    this.article.dataset.status = run.status;
    setText(this.title, nameOf(run));
    setText(this.status, LABELS[run.status] ?? run.status);
    this.started.dateTime = run.startedAt;
    setText(this.started, timeText(run.startedAt));
    setText(this.took, isOver(run) ? `took ${duration(run)}` : '');
    this.request.set(run.requestId);
    this.execution.set(run.executionId);
    this.bar.value = run.progress ?? 0;
    setText(this.percent, `${Math.round((run.progress ?? 0) * 100)} %`);
    setText(this.message, run.message);
    this.message.hidden = !run.message;
    this.#updateStates(run);
    this.#updateResult(run);
  }

  #updateStates(run) {
    const shown = JSON.stringify(run.states);
    if (shown === this.#shownStates) return;
    this.#shownStates = shown;
    this.states.hidden = run.states.length === 0;
    this.states.replaceChildren(...run.states.map((state) => el('li', { 'data-event-type': state.type },
      el('span', { class: 'event' }, state.type),
      el('span', { class: 'step' }, state.step),
      el('time', { datetime: state.at }, timeText(state.at)))));
  }

  #updateResult(run) {
    this.error.hidden = !run.error;
    this.fetch.hidden = !run.elsewhere;
    if (run.error) setText(this.error, run.error.code ? `${run.error.message} (code ${run.error.code})` : run.error.message);
    const value = run.result ?? run.error?.data;
    const note = run.resultDropped ? 'The result was too large to keep across the reload.' : null;
    const text = note ?? (value === undefined || (value === null && run.error) ? '' : pretty(value));
    if (text === this.#shownResult) return;
    this.#shownResult = text;
    const shown = text.length > SHOWN_LIMIT ? `${text.slice(0, SHOWN_LIMIT)}\n… ${text.length - SHOWN_LIMIT} more characters` : text;
    this.result.textContent = shown;
    this.result.hidden = !shown;
  }
}

export class Timeline {
  #list;
  #empty;
  #cards = new Map();
  #told = new Map();
  #onFetch;

  /** onFetch(run, button) is called when a person wants a result that was too large for a frame. */
  constructor(list, empty, onFetch) {
    this.#onFetch = onFetch;
    this.#list = list;
    this.#empty = empty;
  }

  /** Restored cards, newest first; they are old news, so nothing is read out. */
  restore(runs) {
    for (const run of runs) {
      const card = new Card(run, this.#onFetch);
      this.#cards.set(run.key, card);
      this.#told.set(run.key, run.status);
      this.#list.append(card.root);
      card.update(run);
    }
    this.#refreshEmpty();
  }

  show(run) {
    let card = this.#cards.get(run.key);
    if (!card) {
      card = new Card(run, this.#onFetch);
      this.#cards.set(run.key, card);
      this.#list.prepend(card.root);
    }
    card.update(run);
    // Only changes of status are read out; every progress step would drown the page.
    if (this.#told.get(run.key) !== run.status) {
      this.#told.set(run.key, run.status);
      announce(`${nameOf(run)}: ${LABELS[run.status] ?? run.status}${run.error ? `, ${run.error.message}` : ''}`);
    }
    this.#refreshEmpty();
  }

  /** On a narrow screen the card is below the form that started it. */
  reveal(run) {
    this.#cards.get(run.key)?.root.scrollIntoView({ block: 'nearest' });
  }

  remove(run) {
    this.#cards.get(run.key)?.root.remove();
    this.#cards.delete(run.key);
    this.#told.delete(run.key);
    this.#refreshEmpty();
  }

  #refreshEmpty() {
    this.#empty.hidden = this.#cards.size > 0;
  }
}
