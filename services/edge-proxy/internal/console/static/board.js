import { byId, el, setText } from './dom.js';
import { isObject, text } from './json.js';
import { reasonText } from './subscriptions.js';

const SOURCE = 'kv';
const PATH = 'boards/demo/cards';
const MARK_MS = 2000;
const SNAPSHOT_MS = 500;
const COLUMNS = ['todo', 'doing', 'done'];
const MARKS = { added: 'new', moved: 'moved', changed: 'changed', removed: 'removed' };
const STATES = { starting: 'Starting', live: 'Live', ended: 'Ended' };

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

/** The board: documents of one collection, in three columns. hooks: onRun(button). */
export class Board {
  #subscriptions = null;
  #cards = new Map();
  #quietUntil = 0;
  #toggle = byId('board-toggle');
  #run = byId('board-run');

  constructor({ onRun }) {
    this.#run.addEventListener('click', () => onRun(this.#run));
    this.#toggle.addEventListener('click', () => {
      if (this.#watch?.state === 'ended') this.#subscriptions.watch(SOURCE, PATH);
      else this.#subscriptions.stop(SOURCE, PATH);
    });
  }

  get #watch() { return this.#subscriptions?.get(SOURCE, PATH); }

  owns(watch) { return watch.source === SOURCE && watch.path === PATH; }

  /** Shows the board of who signed in. One that was stopped before a reload stays so. */
  begin(subscriptions) {
    if (this.#subscriptions === subscriptions) return;
    this.#subscriptions = subscriptions;
    byId('board-panel').hidden = false;
    if (!this.#watch) subscriptions.watch(SOURCE, PATH);
    this.#reset();
    this.showState(this.#watch);
  }

  leave() {
    this.#subscriptions = null;
    byId('board-panel').hidden = true;
    this.#reset();
  }

  showState(watch) {
    byId('board-status').dataset.state = watch.state;
    setText(byId('board-state'), STATES[watch.state]);
    setText(byId('board-reason'), watch.state === 'ended' ? reasonText(watch) : '');
    setText(this.#toggle, watch.state === 'ended' ? 'Watch again' : 'Stop watching');
  }

  /** Without an id everything may have changed. */
  showDocument(watch, docId, op) {
    if (!docId) {
      // What comes first is what was there, and nothing new.
      this.#quietUntil = performance.now() + SNAPSHOT_MS;
      return this.#reset();
    }
    if (op === 'removed') {
      const gone = this.#cards.get(docId);
      if (!gone) return undefined;
      this.#cards.delete(docId);
      gone.mark('removed', () => gone.root.remove());
    } else {
      this.#place(docId, watch.docs.get(docId), performance.now() > this.#quietUntil);
    }
    return this.#count();
  }

  #reset() {
    this.#cards.clear();
    for (const column of COLUMNS) byId(`board-${column}`).replaceChildren();
    for (const [docId, doc] of this.#watch?.docs ?? []) this.#place(docId, doc, false);
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
