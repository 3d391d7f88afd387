import { el, setText } from './dom.js';
import { LABELS, durationText } from './words.js';

const SVG = 'http://www.w3.org/2000/svg';
const LEAST = 1; // percent of the width that a step of no time gets

/** One step: its name, a bar that shows when it ran, and how long in words. */
class Bar {
  constructor() {
    this.name = el('span', { class: 'bar-name' });
    this.rect = document.createElementNS(SVG, 'rect');
    this.rect.setAttribute('height', '100%');
    this.rect.setAttribute('rx', '2');
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('aria-hidden', 'true');
    svg.append(this.rect);
    this.took = el('span', { class: 'bar-took' });
    this.root = el('li', {}, this.name, svg, this.took);
  }

  /** Attributes of SVG, not styles: the page's policy forbids those that are inline. */
  update(step, began, whole, now) {
    const from = Number.isNaN(step.began) ? step.ended : step.began;
    const to = step.status === 'running' ? now : step.ended;
    const percent = (ms) => Math.min(100, Math.max(0, (ms / whole) * 100));
    const x = Math.min(percent(from - began), 100 - LEAST);
    this.rect.setAttribute('x', `${x.toFixed(2)}%`);
    this.rect.setAttribute('width', `${Math.max(LEAST, percent(to - began) - x).toFixed(2)}%`);
    this.root.dataset.status = step.status;
    setText(this.name, step.name || 'step');
    const words = Number.isNaN(step.began) ? '' : durationText(to - from);
    const said = step.status === 'completed' ? '' : LABELS[step.status].toLowerCase();
    setText(this.took, [said, words].filter(Boolean).join(', '));
  }
}

/** The chart of a run: a list with one bar for each step, which reads as text without its bars. */
export class Bars {
  #bars = [];

  constructor(labelledBy) {
    this.list = el('ol', { class: 'bars', 'aria-labelledby': labelledBy, 'data-testid': 'run-steps' });
  }

  update(steps, now = Date.now()) {
    while (this.#bars.length > steps.length) this.#bars.pop().root.remove();
    while (this.#bars.length < steps.length) {
      const bar = new Bar();
      this.#bars.push(bar);
      this.list.append(bar.root);
    }
    const times = steps.flatMap((step) => [step.began, step.ended]).filter((ms) => !Number.isNaN(ms));
    const began = Math.min(...times);
    // The server's clock may be ahead of ours.
    const current = Math.max(now, ...times);
    const running = steps.some((step) => step.status === 'running');
    const whole = Math.max(1, (running ? current : Math.max(...times)) - began);
    steps.forEach((step, n) => this.#bars[n].update(step, began, whole, current));
  }
}
