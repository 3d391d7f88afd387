import type { DocumentReset, Subscription } from './api.js';
import { delay, pauseOf } from './backoff.js';
import { DeniedError, ExpiredError, GatewayError, UnavailableError } from './errors.js';
import { Feed } from './feed.js';
import type { DocumentEvent, SubscriptionEnded } from './frames.js';
import type { Owners } from './owners.js';

const UNREAD = 10_000; // events that an iterator may leave; then it ends with the code unread
const OPEN_MS = 30_000;

export interface SubscriptionCore {
  client(until: number): Promise<string>;
  open(source: string, path: string, client: string): Promise<string>;
  closeSubscription(id: string): Promise<void>;
  readonly owners: Owners;
  ended(watch: Watch<any>): void;
  changed(): void;
}

/** One subscription, opened again when the gateway had to end it. */
export class Watch<E> {
  readonly subscription: Subscription<E>;
  id: string | null = null;
  #done = false;
  #opened!: (id: string) => void;
  #failed!: (error: unknown) => void;
  #round = 0;
  readonly #seen = new Set<string>();
  readonly #feed: Feed<E>;
  readonly #abort = () => this.#end(this.signal!.reason);

  /** take makes a value of an event; of an execution each event comes once, and the last one ends it. */
  constructor(
    readonly core: SubscriptionCore, readonly source: string, readonly path: string,
    readonly take: (event: DocumentEvent | DocumentReset) => E, readonly isLast: ((value: E) => boolean) | null,
    readonly signal?: AbortSignal,
  ) {
    this.#feed = new Feed<E>(UNREAD, () => this.#end(new GatewayError(
      `${UNREAD} events were not read`, 'unread', 0,
    )), () => {}, () => this.#end());
    const id = new Promise<string>((resolve, reject) => { this.#opened = resolve; this.#failed = reject; });
    id.catch(() => {}); // the iterator reports it
    this.subscription = { id, close: () => this.end(), [Symbol.asyncIterator]: () => this.#feed[Symbol.asyncIterator]() };
    if (signal?.aborted) this.#abort();
    else signal?.addEventListener('abort', this.#abort);
  }

  /** Opens it, for the first time or again. */
  async open(): Promise<void> {
    if (this.#done) return this.core.ended(this); // aborted before it was known to the core
    const round = ++this.#round;
    const again = this.id !== null;
    const until = Date.now() + OPEN_MS;
    this.id = null;
    for (let attempt = 0; !this.#done && round === this.#round; attempt++) {
      this.core.owners.opening(1);
      try {
        const id = await this.core.open(this.source, this.path, await this.core.client(until));
        if (this.#done || round !== this.#round) return void this.core.closeSubscription(id).catch(() => {});
        this.id = id;
        this.core.changed();
        this.#opened(id);
        if (again && !this.isLast) {
          this.#feed.push(this.take({ subscription_id: id, doc_id: '', op: 'reset', data: null }));
        }
        for (const early of this.core.owners.early(id)) this.apply(early);
        return;
      } catch (error) {
        const status = (error as GatewayError).status;
        const passes = (error instanceof UnavailableError && error.code !== 'subscriptions_not_configured') || status === 409 || (again && status === 429);
        if (!passes || (!again && Date.now() > until)) return this.#end(error);
        await delay(pauseOf(error as GatewayError, attempt));
      } finally {
        this.core.owners.opening(-1);
      }
    }
  }

  /** Changes are gone for good: all documents again. */
  reopen(): void {
    if (this.id) this.core.closeSubscription(this.id).catch(() => {});
    if (this.id) void this.open();
  }

  apply(params: DocumentEvent | SubscriptionEnded): void {
    if ('reason' in params) return this.#over(params.reason);
    const value = this.take(params);
    if (this.isLast) {
      if (this.#seen.has(params.doc_id)) return;
      this.#seen.add(params.doc_id);
    }
    this.#feed.push(value);
    if (this.isLast?.(value)) this.#end();
  }

  #over(reason: SubscriptionEnded['reason']): void {
    const text = `the subscription of ${this.path} ended: ${reason}`;
    switch (reason) {
      case 'closed': this.id = null; return this.#end();
      // The client was not connected for a while, or its session was replaced by another.
      case 'expired': case 'session': return void this.open();
      case 'denied': return this.#end(new DeniedError(text, reason, 403));
      case 'not_found': return this.#end(new GatewayError(text, reason, 404));
      case 'source_gone': return this.#end(new UnavailableError(text, reason, 503));
      default: return this.#end(new GatewayError(text, reason, 0));
    }
  }

  #end(error?: unknown): void { this.end(error).catch(() => {}); }

  async end(error?: unknown): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    const id = this.id;
    this.signal?.removeEventListener('abort', this.#abort);
    this.#feed.end(error);
    this.#failed(error ?? new GatewayError('the subscription was closed', 'closed'));
    this.core.ended(this);
    if (!id || error instanceof ExpiredError) return;
    await this.core.closeSubscription(id).catch((e) => {
      if (!(e instanceof GatewayError) || e.status !== 404) throw e; // 404: it has ended
    });
  }
}
