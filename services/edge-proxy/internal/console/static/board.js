import { byId, el, setText } from './dom.js';
import { isObject, text } from './json.js';
import { sentence } from './words.js';

const SOURCE = 'kv';
const PATH = 'boards/demo/cards';
const MARK_MS = 2000;
const SNAPSHOT_MS = 500;
const COLUMNS = ['todo', 'doing', 'done'];
const MARKS = { added: 'new', moved: 'moved', changed: 'changed', removed: 'removed' };
const STATES = { starting: 'Starting', live: 'Live', ended: 'Ended' };
const REASONS = {
  closed: 'It was closed elsewhere.',
  session: 'The session has ended.',
  denied: 'You may not view this any more.',
  not_found: 'There is nothing to watch.',
  too_large: 'There is more than a subscription may hold.',
  source_gone: 'The gateway does not have this source any more.',
  stopped: 'You stopped it.',
};

/** A card, built once and then moved, so that what is seen is what changed. */
class Card {
  #timer = 0;

  constructor(docId) {
    this.docId = docId;
    this.title = el('span', { class: 'board-card-title' });
    this.label = el('span', { class: 'mark' });
    this.root = el('li', { class: 'board-card', 'data-testid': 'board-card', 'data-doc-id': docId }, this.title, this.label);
  }

  update(doc) {
    const data = isObject(doc) ? doc : {};
    const column = COLUMNS.includes(data.column) ? data.column : COLUMNS[0];
    const moved = this.root.dataset.column !== column;
    const title = text(data.title) || this.docId;
    const changed = this.title.textContent !== title;
    this.root.dataset.column = column;
    setText(this.title, title);
    return { column, mark: moved ? 'moved' : changed ? 'changed' : '' };
  }

  /** The mark is seen for a moment; then() follows it. */
  mark(kind, then = () => {}) {
    clearTimeout(this.#timer);
    this.root.dataset.mark = kind;
    setText(this.label, MARKS[kind] ?? '');
    if (!kind) return;
    this.#timer = setTimeout(() => {
      this.mark('');
      then();
    }, MARK_MS);
  }
}

/** The board: documents of one collection, in three columns, by a subscription of the library. hooks: onRun(button). */
export class Board {
  #gateway = null;
  #subscription = null;
  #source = ''; // the id of the subscription whose documents are shown
  #opened = false;
  #cards = new Map();
  #quietUntil = 0;
  #toggle = byId('board-toggle');
  #run = byId('board-run');

  constructor({ onRun }) {
    this.#run.addEventListener('click', () => onRun(this.#run));
    this.#toggle.addEventListener('click', () => {
      if (this.#subscription) this.#stop();
      else this.#watch();
    });
  }

  /** Shows the board of who signed in. */
  begin(gateway) {
    if (this.#gateway === gateway) return;
    this.#gateway = gateway;
    byId('board-panel').hidden = false;
    this.#watch();
  }

  leave() {
    this.#gateway = null;
    this.#subscription = null;
    byId('board-panel').hidden = true;
    this.#reset();
  }

  /** Changes are gone for good: the library brings all documents again. */
  gap() {
    if (!this.#subscription) return;
    this.#source = '';
    this.#reset();
  }

  /** The stream came or went: without it nothing is live. */
  connection(live) {
    if (this.#subscription) this.#show(live && this.#opened ? 'live' : 'starting');
  }

  #show(state, reason = '') {
    byId('board-status').dataset.state = state;
    setText(byId('board-state'), STATES[state]);
    setText(byId('board-reason'), reason);
    setText(this.#toggle, state === 'ended' ? 'Watch again' : 'Stop watching');
  }

  async #watch() {
    const subscription = this.#subscription = this.#gateway.subscribe(PATH, { source: SOURCE });
    this.#source = '';
    this.#opened = false;
    this.#show('starting');
    let reason = REASONS.closed;
    try {
      this.#begun(await subscription.id);
      this.#opened = true;
      this.connection(this.#gateway?.state === 'live');
      for await (const event of subscription) {
        if (this.#subscription !== subscription) return;
        this.#apply(event);
      }
    } catch (cause) {
      reason = REASONS[cause.code] ?? sentence(cause);
    }
    if (this.#subscription !== subscription) return;
    this.#subscription = null;
    this.#show('ended', reason);
  }

  #stop() {
    this.#subscription.close().catch(() => {});
    this.#subscription = null;
    this.#show('ended', REASONS.stopped);
  }

  /** What comes first is what was there, and nothing new. After a gap it is another subscription. */
  #begun(id) {
    if (this.#source === id) return;
    this.#source = id;
    this.#quietUntil = performance.now() + SNAPSHOT_MS;
    this.#reset();
  }

  #apply({ subscription_id: id, doc_id: docId, op, data }) {
    this.#begun(text(id));
    if (op === 'reset') return; // it is another subscription, and begins with nothing
    if (op === 'removed') {
      const gone = this.#cards.get(docId);
      if (!gone) return;
      this.#cards.delete(docId);
      gone.mark('removed', () => gone.root.remove());
    } else {
      this.#place(docId, data, performance.now() > this.#quietUntil);
    }
    this.#count();
  }

  #reset() {
    this.#cards.clear();
    for (const column of COLUMNS) byId(`board-${column}`).replaceChildren();
    this.#count();
  }

  #place(docId, doc, marked) {
    const known = this.#cards.get(docId);
    const card = known ?? new Card(docId);
    this.#cards.set(docId, card);
    const { column, mark } = card.update(doc);
    const list = byId(`board-${column}`);
    // The same order in every tab, whatever came first.
    const next = [...list.children].find((one) => one !== card.root && one.dataset.docId.localeCompare(docId, undefined, { numeric: true }) > 0) ?? null;
    if (card.root.parentNode !== list || card.root.nextElementSibling !== next) list.insertBefore(card.root, next);
    if (marked && (mark || !known)) card.mark(known ? mark : 'added');
  }

  #count() {
    for (const column of COLUMNS) {
      const count = [...this.#cards.values()].filter((card) => card.root.dataset.column === column).length;
      setText(byId(`board-${column}-count`), String(count));
    }
  }
}
