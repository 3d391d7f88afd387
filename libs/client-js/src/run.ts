import type { Execution, Run, RunOptions } from './api.js';
import { delay, pauseOf } from './backoff.js';
import { DeniedError, ExpiredError, GatewayError, RunFailedError, TimeoutError, UnavailableError } from './errors.js';
import { guarded } from './guarded.js';
import { Feed } from './feed.js';
import type { Frame, PendingRequest, PlaybookState, Result } from './frames.js';
import type { RunRecord } from './store.js';

const KEPT_FRAMES = 1000; // for an iterator that does not read; the oldest go
const RESULT_MS = 3000; // how long a result may come after the event that ends its execution
const BARE_MS = 10_000; // likewise, when NoETL says no more than that it is over: the frame says more
const ON_THE_WAY_MS = 20_000; // how long frames of a start whose answer was lost may take
const START_MS = 60_000; // how long a start is repeated, during an outage
const DOWNLOAD_TRIES = 10;
// The kinds of failure that the contract gives a number (contract, section 5); any other is the playbook's.
const KINDS: Record<number, [typeof GatewayError, code: string, status: number] | undefined> = {
  [-32001]: [TimeoutError, 'timeout', 504], [-32002]: [ExpiredError, 'session_expired', 401],
  [-32003]: [DeniedError, 'denied', 403],
};
const passes = (error: unknown) => error instanceof UnavailableError || (error as GatewayError).status === 429;
const UNKNOWN_TIMES = 3; // how often NoETL may not know an execution

/** What a run needs from its gateway. */
export interface RunCore {
  /** The client id, once there is a stream. */
  client(until: number): Promise<string>;
  start(record: RunRecord, client: string): Promise<string>;
  cancel(execution: string): Promise<void>;
  execution(id: string): Promise<Execution | null>;
  result(requestId: string): Promise<{ data?: unknown }>;
  /** Opens the stream again, so that a first frame tells what is pending. */
  refresh(): void;
  bound(task: Task): void;
  changed(): void;
  settled(task: Task, error?: unknown): void;
  /** Whether somebody else sees errors. */
  readonly heard: boolean;
}

/** One run, from its start to its result. */
export class Task {
  readonly run: Run<any>;
  /** Its promise is settled. */
  done = false;
  /** Its signal was aborted, or its time was over, before its execution id was known. */
  abandoned = false;
  executionId: string | null;
  readonly #feed = new Feed<Frame>(KEPT_FRAMES, (feed) => feed.dropOldest(), () => this.#quiet());
  #resolve!: (value: unknown) => void;
  #reject!: (error: unknown) => void;
  #started!: (id: string) => void;
  #failed!: (error: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sent = false;
  #conflict: GatewayError | null = null;
  #checking = false;
  #lost = false; // frames are gone, maybe its result
  #cancelled = false;
  readonly #aborted = () => this.#abort(this.options.signal!.reason);

  constructor(readonly core: RunCore, readonly record: RunRecord, readonly options: RunOptions = {}) {
    this.executionId = record.execution ?? null;
    const started = new Promise<string>((resolve, reject) => { this.#started = resolve; this.#failed = reject; });
    started.catch(() => {}); // the promise of the run reports it
    const promise = new Promise((resolve, reject) => { this.#resolve = resolve; this.#reject = reject; });
    const task = this;
    this.run = Object.defineProperties(promise, {
      requestId: { value: record.id },
      playbook: { value: record.playbook },
      started: { value: started },
      executionId: { get: () => task.executionId },
      cancel: { value: () => task.cancel() },
      [Symbol.asyncIterator]: { value: () => task.#feed[Symbol.asyncIterator]() },
    }) as Run<any>;
    if (this.executionId) this.#started(this.executionId);
    if (options.timeout !== undefined) {
      this.#timer = setTimeout(() => this.#abort(new TimeoutError(
        `no result within ${options.timeout} ms`, 'timeout', 0, this.#ids,
      )), options.timeout);
    }
    options.signal?.addEventListener('abort', this.#aborted);
  }

  get #ids() { return { requestId: this.record.id, executionId: this.executionId ?? undefined }; }

  /** A failure that somebody else hears of is no unhandled rejection. */
  #quiet(): void { this.run.catch(() => {}); }

  /** Starts it; what may have got through already is sent again under the same id. */
  async begin(): Promise<void> {
    if (this.options.signal?.aborted) return this.#aborted();
    const until = Date.now() + START_MS;
    for (let attempt = 0; !this.done || this.abandoned; attempt++) {
      try {
        const client = await this.core.client(until);
        if (this.done && !this.abandoned) return;
        this.#sent = true;
        return this.bind(await this.core.start(this.record, client));
      } catch (error) {
        if (this.done && !this.abandoned) return;
        if (!(error instanceof GatewayError)) return this.reject(error);
        if (error.code === 'request_exists') return this.#startedBefore(error);
        if (error.code === 'unknown_client') this.core.refresh(); // the gateway's memory is newer than ours
        else if (!passes(error)) return this.reject(error);
        const pause = pauseOf(error, attempt);
        if (Date.now() + pause > until) {
          return this.reject(error instanceof UnavailableError ? error
            : new UnavailableError(error.message, error.code, error.status, { ...this.#ids, cause: error }));
        }
        await delay(pause);
      }
    }
  }

  /** Its execution id comes with its frames, or with the next first frame. */
  #startedBefore(error: GatewayError): void {
    this.#conflict = error;
    this.record.start = undefined;
    this.core.changed();
    this.core.refresh();
  }

  bind(execution: string): void {
    if (!execution || this.executionId) return;
    if (this.abandoned) {
      this.abandoned = false;
      this.core.cancel(execution).catch(() => {});
      return this.core.settled(this);
    }
    if (this.done) return;
    this.executionId = this.record.execution = execution;
    this.record.start = undefined;
    this.#conflict = null;
    this.core.bound(this);
    this.#started(execution);
    if (this.#cancelled) this.#cancelNow().catch(() => {});
  }

  /** A first frame says what is pending. What it lacks has a result on its way, or is to be asked for. */
  pending(list: Map<string, PendingRequest>): void {
    const entry = list.get(this.record.id);
    if (entry) {
      this.#checking = false;
      this.bind(entry.executionId);
    } else if (this.executionId) {
      void this.check(RESULT_MS);
    } else if (this.#conflict) {
      const error = this.#conflict;
      void delay(ON_THE_WAY_MS).then(() => { if (this.#conflict === error) this.reject(error); });
    }
  }

  /** A frame of this run. */
  apply(frame: Frame): void {
    this.#feed.push(frame);
    if (frame.method === 'playbook/progress') {
      this.bind(frame.params.executionId);
      void guarded(() => this.options.onProgress?.(frame.params));
    } else if (frame.method === 'playbook/state') {
      void guarded(() => this.options.onState?.(frame.params));
      this.#stateOf(frame.params);
    } else if (frame.method === 'playbook/result') {
      this.bind(frame.params.executionId);
      this.#resultOf(frame.params);
    }
  }

  #stateOf({ event_type }: PlaybookState): void {
    if (event_type === 'playbook.cancelled') this.reject(this.#cancelledError());
    else if (event_type === 'playbook.completed' || event_type === 'playbook.failed') void this.check(RESULT_MS);
  }

  #resultOf({ status, data, error }: Result): void {
    const details: any = error?.data;
    if (!error) return this.resolve(data);
    const [kind, word, http] = KINDS[error.code] ?? [status === 'FAILED' ? RunFailedError : GatewayError, 'playbook_failed', 0];
    const reason = typeof details?.code === 'string' ? details.code : word;
    if (reason === 'result_too_large' && details.url) {
      this.record.large = true;
      return void this.fetchLarge();
    }
    this.reject(new kind(error.message, reason, http, { ...this.#ids, data: error }));
  }

  /** Gets a result that exceeds a frame. */
  async fetchLarge(): Promise<void> {
    for (let attempt = 0; !this.done; attempt++) {
      try {
        return this.resolve((await this.core.result(this.record.id)).data);
      } catch (error) {
        if (!passes(error) || attempt + 1 >= DOWNLOAD_TRIES) return this.reject(error);
        await delay(pauseOf(error as GatewayError, attempt));
      }
    }
  }

  /** Asks for the execution until it is over, because no frame may tell. */
  async check(first: number, lost = false): Promise<void> {
    if (lost) this.#lost = true;
    if (this.#checking || this.record.large) return;
    this.#checking = true;
    const began = Date.now();
    let unknown = 0;
    for (let pause = first; ; pause = Math.min(Math.max(pause, 1000) * 2, 30_000)) {
      await delay(pause);
      if (this.done || !this.#checking || !this.executionId) return;
      try {
        const execution = await this.core.execution(this.executionId);
        if (this.done || !this.#checking) return;
        if (execution) this.#settleBy(execution, this.#lost || Date.now() - began > BARE_MS);
        else if (++unknown >= UNKNOWN_TIMES) {
          this.reject(new GatewayError('NoETL does not know the execution', 'execution_not_found', 404, this.#ids));
        }
      } catch (error) {
        if (!passes(error)) this.reject(error);
      }
    }
  }

  #settleBy({ status, completed, failed, result, error }: Execution, bare: boolean): void {
    if (status === 'CANCELLED') return this.reject(this.#cancelledError());
    if (!bare && (result ?? error ?? null) === null) return;
    if (completed && !failed) return this.resolve(result ?? undefined);
    if (!failed) return;
    const said = typeof error === 'string' ? error : (error as any)?.message;
    this.reject(new RunFailedError(said || 'the playbook failed', 'playbook_failed', 0, { ...this.#ids, data: error }));
  }

  #cancelledError(): RunFailedError {
    return new RunFailedError('the execution was cancelled', 'cancelled', 0, this.#ids);
  }

  async cancel(): Promise<void> {
    if (this.done) return;
    this.#cancelled = true;
    if (!this.#sent && !this.executionId) return this.reject(this.#cancelledError());
    await this.run.started.catch(() => {});
    if (!this.done) await this.#cancelNow();
  }

  #cancelling: Promise<void> | null = null;

  async #cancelNow(): Promise<void> {
    await (this.#cancelling ??= this.core.cancel(this.executionId!).finally(() => { this.#cancelling = null; }));
    void this.check(RESULT_MS); // where no lifecycle events come
  }

  /** Ends the run, and cancels its execution. */
  #abort(reason: unknown): void {
    if (this.done) return;
    const id = this.executionId;
    if (id) this.core.cancel(id).catch(() => {});
    else this.abandoned = this.#sent; // it is cancelled as soon as its id is known
    this.reject(reason);
  }

  resolve(value: unknown): void {
    if (!this.#settle()) return;
    this.#started(this.executionId ?? '');
    this.#resolve(value);
    this.#feed.end();
  }

  reject(error: unknown): void {
    if (this.done) this.abandoned = false;
    if (!this.#settle(error)) return;
    if (this.core.heard) this.#quiet();
    this.#failed(error);
    this.#reject(error);
    this.#feed.end(error);
  }

  #settle(error?: unknown): boolean {
    if (this.done) return false;
    this.done = true;
    clearTimeout(this.#timer);
    this.options.signal?.removeEventListener('abort', this.#aborted);
    this.core.settled(this, error);
    return true;
  }

  /** Keeps a run that nobody may look at from being an unhandled rejection. */
  ignoreFailure(): void { this.#quiet(); }
}
