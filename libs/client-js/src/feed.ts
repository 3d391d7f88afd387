/** Values for one reader, kept until it takes them. */
export class Feed<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #waiting: Array<{ resolve(r: IteratorResult<T>): void; reject(e: unknown): void }> = [];
  #ended: { error?: unknown } | null = null;

  /** full decides what happens to a value that exceeds the limit: it may make room, or end the feed. */
  constructor(
    readonly limit: number,
    readonly full: (feed: Feed<T>) => void,
    readonly onRead: () => void = () => {},
    readonly onReturn: () => void = () => {},
  ) {}

  push(value: T): void {
    if (this.#ended) return;
    const reader = this.#waiting.shift();
    if (reader) return reader.resolve({ done: false, value });
    if (this.#values.length >= this.limit) this.full(this);
    if (!this.#ended) this.#values.push(value);
  }

  dropOldest(): void { this.#values.shift(); }

  /** What is kept is still read; then the iterator ends, or throws. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = { error };
    for (const reader of this.#waiting.splice(0)) this.#finish(reader);
  }

  #finish(reader: { resolve(r: IteratorResult<T>): void; reject(e: unknown): void }): void {
    const error = this.#ended?.error;
    if (this.#ended) this.#ended.error = undefined; // thrown once
    if (error === undefined) reader.resolve({ done: true, value: undefined });
    else reader.reject(error);
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    this.onRead();
    return {
      next: () => new Promise<IteratorResult<T>>((resolve, reject) => {
        if (this.#values.length > 0) resolve({ done: false, value: this.#values.shift()! });
        else if (this.#ended) this.#finish({ resolve, reject });
        else this.#waiting.push({ resolve, reject });
      }),
      return: () => {
        this.onReturn();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}
