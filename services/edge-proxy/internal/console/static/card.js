import { Bars } from './bars.js';
import { copyText, el, setText, timeText } from './dom.js';
import { pretty } from './json.js';
import { isOver } from './runs.js';
import { stepsOf } from './steps.js';
import { LABELS, durationText } from './words.js';

const SHOWN_LIMIT = 200000;

function button(label, testid, onClick, more = {}) {
  const node = el('button', { type: 'button', class: 'small', 'data-testid': testid, ...more }, label);
  node.addEventListener('click', () => onClick(node));
  return node;
}

function idRow(label) {
  const value = el('code', { class: 'id' });
  const copy = button('Copy', 'copy-id', () => copyText(value.textContent, copy, value), { class: 'quiet small', 'aria-label': `Copy ${label.toLowerCase()} id` });
  const row = el('div', { class: 'id-row', hidden: true }, el('dt', {}, label), el('dd', {}, value, copy));
  return { row, set: (id) => { row.hidden = !id; setText(value, id); } };
}

function cut(text) {
  return text.length > SHOWN_LIMIT ? `${text.slice(0, SHOWN_LIMIT)}\n… ${text.length - SHOWN_LIMIT} more characters` : text;
}

/**
 * One card, built once and then changed in place, so that focus, selection and scroll stay put.
 * does: onToggle(run), onCancel(run, button), onRerun(run, button), onFollow(run, button), onFetch(run, button),
 * isFollowing(run).
 */
export class Card {
  #run;
  #does;
  #result = '';
  #shown = { states: '', result: null, input: null };

  constructor(run, does) {
    this.#run = run;
    this.#does = does;
    const titleId = `${run.key}-title`;
    const bodyId = `${run.key}-body`;
    const stepsId = `${run.key}-steps`;
    this.toggle = el('button', { type: 'button', class: 'card-toggle', 'aria-controls': bodyId, 'data-testid': 'run-toggle' });
    this.toggle.addEventListener('click', () => does.onToggle(run));
    this.status = el('span', { class: 'chip', 'data-testid': 'run-status' });
    this.started = el('time');
    this.took = el('span', { class: 'took' });
    this.request = idRow('Request');
    this.execution = idRow('Execution');
    this.bar = el('progress', { max: '1', value: '0', 'aria-labelledby': titleId, 'data-testid': 'run-progress' });
    this.percent = el('span', { class: 'percent', 'aria-hidden': 'true' });
    this.progress = el('div', { class: 'progress-row' }, this.bar, this.percent);
    this.message = el('p', { class: 'message' });
    this.note = el('p', { class: 'message' });
    this.error = el('p', { class: 'run-error', hidden: true, 'data-testid': 'run-error' });
    this.bars = new Bars(stepsId);
    this.steps = el('div', { class: 'steps', hidden: true }, el('h4', { id: stepsId }, 'Steps'), this.bars.list);
    this.states = el('ol', { class: 'states', 'data-testid': 'run-states' });
    this.count = el('span', { class: 'count' });
    this.events = el('details', { hidden: true, 'data-testid': 'run-events' }, el('summary', {}, 'Events ', this.count), this.states);
    this.variables = el('pre', { tabindex: '0', role: 'group', 'aria-label': 'Input', 'data-testid': 'run-input' });
    this.input = el('details', { hidden: true }, el('summary', { 'data-testid': 'run-input-toggle' }, 'Input'), this.variables);
    // Scrolls inside, so it must be reachable by keyboard.
    this.pre = el('pre', { tabindex: '0', role: 'region', 'data-testid': 'run-result' });
    this.heading = el('h4', {}, 'Result');
    this.copy = button('Copy', 'copy-result', (node) => copyText(this.#result, node, this.pre), { class: 'quiet small' });
    this.result = el('div', { hidden: true }, el('div', { class: 'result-head' }, this.heading, this.copy), this.pre);
    this.fetch = button('Show the result', 'run-fetch', (node) => does.onFetch(run, node));
    this.cancel = button('Cancel', 'run-cancel', (node) => does.onCancel(run, node));
    this.rerun = button('Run again', 'run-rerun', (node) => does.onRerun(run, node));
    this.follow = button('Stop following', 'follow-stop', (node) => does.onFollow(run, node));
    this.pill = el('p', { class: 'pill', 'data-testid': 'follow-status' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), 'Following');
    this.body = el('div', { class: 'card-body', id: bodyId },
      this.progress, this.message, this.note, this.error, this.steps, this.result,
      el('div', { class: 'actions' }, this.cancel, this.follow, this.rerun, this.fetch),
      this.input, this.events, el('dl', { class: 'ids' }, this.execution.row, this.request.row));
    this.root = el('li', {},
      el('article', { class: 'card', 'aria-labelledby': titleId, 'data-testid': 'run-card' },
        el('header', { class: 'card-head' }, el('h3', { id: titleId }, this.toggle), this.status),
        el('p', { class: 'when' }, this.started, this.took, this.pill), this.body));
    this.article = this.root.firstElementChild;
  }

  get hasFocus() { return this.body.contains(document.activeElement); }

  open(isOpen) {
    this.toggle.setAttribute('aria-expanded', String(isOpen));
    this.body.hidden = !isOpen;
    this.article.dataset.open = String(isOpen);
  }

  update() {
    const run = this.#run;
    const over = isOver(run);
    Object.assign(this.article.dataset, { requestId: run.requestId, executionId: run.executionId, status: run.status, path: run.name });
    setText(this.toggle, run.name || 'Unnamed run');
    setText(this.status, LABELS[run.status] ?? run.status);
    this.started.dateTime = run.startedAt;
    setText(this.started, timeText(run.startedAt));
    this.request.set(run.requestId);
    this.execution.set(run.executionId);
    this.progress.hidden = run.progress === null;
    this.bar.value = run.progress ?? 0;
    setText(this.percent, `${Math.round((run.progress ?? 0) * 100)} %`);
    this.#line(this.message, over ? '' : run.message);
    this.#line(this.note, run.note ?? '');
    this.#line(this.error, run.error);
    this.#updateStates();
    this.#updateResult();
    this.#updateInput();
    const following = this.#does.isFollowing(run);
    this.pill.hidden = !following;
    this.pill.dataset.state = 'live';
    this.cancel.hidden = over || !run.executionId;
    this.cancel.disabled = run.status === 'cancelling';
    this.rerun.hidden = !over || !run.executionId;
    this.follow.hidden = over || !run.followed;
    setText(this.follow, following ? 'Stop following' : 'Follow');
    this.fetch.hidden = !run.resultDropped;
    this.tick();
  }

  /** What changes with time alone. */
  tick(now = Date.now()) {
    const run = this.#run;
    const ms = (isOver(run) ? Date.parse(run.endedAt) : now) - this.#began();
    if (isOver(run)) setText(this.took, ms >= 0 ? `took ${durationText(ms)}` : '');
    else setText(this.took, ms >= 1000 ? `for ${durationText(Math.floor(ms / 1000) * 1000).replace('.0', '')}` : '');
    const steps = stepsOf(run);
    this.steps.hidden = steps.length === 0;
    if (steps.length) this.bars.update(steps, now);
  }

  /** A followed execution began before its card did. */
  #began() {
    const first = this.#run.followed ? Date.parse(this.#run.states[0]?.at) : NaN;
    return Number.isNaN(first) ? Date.parse(this.#run.startedAt) : first;
  }

  #line(node, words) {
    setText(node, words);
    node.hidden = !words;
  }

  #updateStates() {
    const { states } = this.#run;
    const shown = JSON.stringify(states);
    if (shown === this.#shown.states) return;
    this.#shown.states = shown;
    this.events.hidden = states.length === 0;
    setText(this.count, `(${states.length})`);
    this.states.replaceChildren(...states.map((state) => el('li', { 'data-event-type': state.type },
      el('span', { class: 'event' }, state.type),
      el('span', { class: 'step' }, state.step),
      el('time', { datetime: state.at }, timeText(state.at)))));
  }

  #updateResult() {
    const { result, resultDropped, name, executionId, error } = this.#run;
    setText(this.heading, error ? 'Details' : 'Result');
    this.copy.setAttribute('aria-label', error ? 'Copy details' : 'Copy result');
    const text = resultDropped || result === undefined || result === null ? '' : pretty(result);
    this.pre.setAttribute('aria-label', `Result of ${name || 'the run'}, execution ${executionId}`);
    if (text === this.#shown.result) return;
    this.#shown.result = text;
    this.#result = text;
    this.pre.textContent = cut(text);
    this.result.hidden = !text;
  }

  #updateInput() {
    const { variables } = this.#run;
    const text = variables === undefined ? '' : pretty(variables);
    if (text === this.#shown.input) return;
    this.#shown.input = text;
    this.variables.textContent = cut(text);
    this.input.hidden = !text;
  }
}
