import { Card } from './card.js';
import { announce } from './dom.js';
import { isOver } from './runs.js';
import { LABELS } from './words.js';

const TICK_MS = 1000;

/**
 * The cards, newest first. One is open while it runs, while it is the newest, and as long as somebody wants it to be.
 */
export class Timeline {
  #list;
  #empty;
  #cards = new Map(); // key → {run, card}
  #told = new Map();
  #does;

  /** does is what the buttons of a card do: onCancel, onRerun, onFollow, onFetch(run, button); isFollowing(run); onSave(). */
  constructor(list, empty, does) {
    this.#list = list;
    this.#empty = empty;
    this.#does = { ...does, onToggle: (run) => this.#toggle(run) };
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Restored cards, newest first; they are old news, so nothing is read out. */
  restore(runs) {
    for (const run of runs) {
      this.#told.set(run.key, run.status);
      this.#list.append(this.#add(run).root);
    }
    this.#arrange();
  }

  #add(run) {
    const card = new Card(run, this.#does);
    this.#cards.set(run.key, { run, card });
    card.update();
    return card;
  }

  show(run) {
    const known = this.#cards.get(run.key);
    if (known) known.card.update();
    else this.#list.prepend(this.#add(run).root);
    this.#arrange();
    // Only changes of status are read out; every progress step would drown the page.
    if (this.#told.get(run.key) === run.status) return;
    this.#told.set(run.key, run.status);
    announce(`${run.name || 'Run'}: ${LABELS[run.status] ?? run.status}${run.error ? `, ${run.error}` : ''}`);
  }

  /** On a narrow screen the card is below the form that started it. */
  reveal(run, { open = false } = {}) {
    const entry = this.#cards.get(run.key);
    if (!entry) return;
    if (open) {
      run.open = true;
      this.#arrange();
      entry.card.toggle.focus({ preventScroll: true });
    }
    entry.card.root.scrollIntoView({ block: 'nearest' });
  }

  remove(run) {
    this.#cards.get(run.key)?.card.root.remove();
    this.#cards.delete(run.key);
    this.#told.delete(run.key);
    this.#arrange();
  }

  #toggle(run) {
    run.open = this.#cards.get(run.key).card.body.hidden;
    this.#arrange();
    this.#does.onSave();
  }

  #arrange() {
    const newest = this.#list.firstElementChild;
    for (const { run, card } of this.#cards.values()) {
      const open = run.open ?? (card.root === newest || !isOver(run));
      // It does not close under somebody's hands.
      card.open(open || (run.open === undefined && card.hasFocus));
    }
    this.#empty.hidden = this.#cards.size > 0;
  }

  #tick() {
    for (const { run, card } of this.#cards.values()) if (!isOver(run) && !card.body.hidden) card.tick();
  }
}
