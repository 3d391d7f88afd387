const LARGEST = 64 << 20; // characters: an event beyond this is no frame of a gateway, and its memory is not ours to give

export interface SseEvent { type: string; data: string; id: string | null }

/**
 * Parser of text/event-stream (WHATWG HTML, section 9.2), fed with decoded text in any split. An id is that of its
 * own event, or null: by the standard later events inherit it, which would make them look like repeats.
 */
export class SseParser {
  #rest: string[] = [];
  #afterReturn = false;
  #data: string[] = [];
  #type = '';
  #id: string | null = null;
  #size = 0; // of the event so far

  constructor(readonly onEvent: (event: SseEvent) => void, readonly onRetry: (ms: number) => void = () => {}) {}

  push(chunk: string): void {
    // A CR has ended its line already; the LF that belongs to it may come with the next chunk.
    if (this.#afterReturn && chunk[0] === '\n') chunk = chunk.slice(1);
    else if (chunk === '') return;
    this.#afterReturn = chunk.endsWith('\r');
    this.#size += chunk.length;
    const lines = chunk.split(/\r\n|\r|\n/);
    for (let i = 0; i < lines.length; i++) {
      this.#rest.push(lines[i]!);
      if (i === lines.length - 1) break;
      const line = this.#rest.join('');
      this.#rest = [];
      this.#line(line);
    }
    if (this.#size > LARGEST) throw new Error('an event is too large');
  }

  #line(line: string): void {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.onRetry(Number(value));
  }

  #dispatch(): void {
    const event = { type: this.#type || 'message', data: this.#data.join('\n'), id: this.#id };
    const empty = this.#data.length === 0;
    this.#data = [];
    this.#type = '';
    this.#id = null;
    this.#size = 0;
    if (!empty) this.onEvent(event);
  }
}
