import { byId, el, setText } from './dom.js';
import { bodyOf, isObject, pretty, read, text } from './json.js';

const DRAFT_LIMIT = 64 * 1024; // of characters: what is larger is not kept over a reload

/** NoETL lists every version of a playbook; the newest is the one that runs. */
function newest(entries) {
  const byPath = new Map();
  for (const entry of entries) {
    const path = text(entry?.path);
    const known = byPath.get(path);
    if (path && (!known || Number(entry.version ?? 0) >= Number(known.version ?? 0))) byPath.set(path, entry);
  }
  return [...byPath.values()].sort((a, b) => a.path.localeCompare(b.path));
}

/** The text as a JSON object, or the reason why it is none. Blank means no variables. */
function readObject(source) {
  if (source.trim() === '') return { value: {} };
  const { value, error } = read(source);
  if (error || isObject(value)) return { value, error };
  return { error: 'This must be a JSON object, such as {"message": "hello"}.' };
}

export function showFieldError(field, slot, message) {
  setText(slot, message ?? '');
  if (message) field.setAttribute('aria-invalid', 'true');
  else field.removeAttribute('aria-invalid');
}

/** The playbook select, its description and the variables editor. onChange() is called when there is something to save. */
export class Catalog {
  #entries = new Map();
  #drafts = new Map();
  #current = '';
  #select = byId('playbook');
  #area = byId('variables');
  #error = byId('variables-error');

  constructor({ onChange }) {
    this.#select.addEventListener('change', () => {
      this.#choose(this.#select.value);
      onChange();
    });
    this.#area.addEventListener('input', () => {
      this.#drafts.set(this.#current, this.#area.value);
      onChange();
      // While typing an error may only go away; it appears on leaving the field or on Run.
      if (!readObject(this.#area.value).error) showFieldError(this.#area, this.#error);
    });
    this.#area.addEventListener('change', () => this.read());
    this.#area.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      byId('run-form').requestSubmit();
    });
  }

  /** What was chosen and written before a reload. */
  restore(form) {
    this.#drafts = new Map(Object.entries(isObject(form.drafts) ? form.drafts : {}));
    this.#current = text(form.playbook);
  }

  saved() {
    return {
      playbook: this.#current,
      drafts: Object.fromEntries([...this.#drafts].filter(([, draft]) => draft.length <= DRAFT_LIMIT)),
    };
  }

  get selected() { return this.#current; }

  async load(gateway) {
    const answer = await bodyOf(await gateway.fetch('/noetl/catalog/list', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ resource_type: 'playbook' }),
    }));
    const entries = newest(Array.isArray(answer?.entries) ? answer.entries : []);
    this.#entries = new Map(entries.map((entry) => [entry.path, entry]));
    this.#select.replaceChildren(...entries.map((entry) => el('option', { value: entry.path }, entry.path)));
    this.#select.disabled = entries.length === 0;
    if (entries.length === 0) this.#select.append(el('option', { value: '' }, 'No playbooks in the catalog'));
    const wanted = this.#entries.has(this.#current) ? this.#current : entries[0]?.path ?? '';
    this.#select.value = wanted;
    this.#choose(wanted);
  }

  #choose(path) {
    const entry = this.#entries.get(path);
    this.#current = path;
    setText(byId('playbook-description'), text(entry?.description) || (entry ? 'This playbook has no description.' : ''));
    this.#area.value = this.#drafts.get(path) ?? pretty(isObject(entry?.variables) ? entry.variables : {});
    showFieldError(this.#area, this.#error, readObject(this.#area.value).error);
  }

  /** The variables, or null after showing what is wrong with them. */
  read() {
    const { value, error } = readObject(this.#area.value);
    showFieldError(this.#area, this.#error, error);
    return error ? null : value;
  }

  focusVariables() { this.#area.focus(); }
}
