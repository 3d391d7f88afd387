/**
 * Parser of text/event-stream (HTML Living Standard 9.2.6), fed with decoded text in any split.
 * `id` of an event is the id written in that very event, or null: the standard lets later events
 * inherit it, which would make them look like repeats.
 */
export class SseParser {
  #onEvent;
  #onRetry;
  #rest = '';
  #skipLineFeed = false;
  #data = [];
  #type = '';
  #id = null;

  constructor(onEvent, onRetry = () => {}) {
    this.#onEvent = onEvent;
    this.#onRetry = onRetry;
  }

  push(chunk) {
    if (chunk === '') return;
    // A CR ended its line already; the LF of a CRLF may come with the next chunk.
    if (this.#skipLineFeed && chunk[0] === '\n') chunk = chunk.slice(1);
    this.#skipLineFeed = chunk === '' ? false : chunk.endsWith('\r');
    const lines = (this.#rest + chunk).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const raw = colon < 0 ? '' : line.slice(colon + 1);
    const value = raw.startsWith(' ') ? raw.slice(1) : raw;
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.#onRetry(Number(value));
    return undefined;
  }

  #dispatch() {
    const event = { type: this.#type || 'message', data: this.#data.join('\n'), id: this.#id };
    const empty = this.#data.length === 0;
    this.#data = [];
    this.#type = '';
    this.#id = null;
    if (!empty) this.#onEvent(event);
  }
}
