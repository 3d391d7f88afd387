import type { ConnectOptions, DocumentReset, Events, Execution, Gateway, Run, RunOptions, State, Subscription } from './api.js';
import { delay, pauseOf } from './backoff.js';
import { cancel, closeSubscription, execution, start } from './calls.js';
import { ExpiredError, GatewayError, UnavailableError } from './errors.js';
import type { Capabilities, DocumentEvent, First, Frame, PlaybookState } from './frames.js';
import { guarded } from './guarded.js';
import { errorOf, Http, noSession, Session, unreachable } from './http.js';
import { wasReset, type ToTab, type Trouble } from './hub.js';
import { claim, link, type Link } from './link.js';
import { Owners } from './owners.js';
import { comparable, isAfter, position } from './position.js';
import { Task, type RunCore } from './run.js';
import { Store, type RunRecord, type Saved } from './store.js';
import { Watch, type SubscriptionCore } from './subscription.js';
import { uuid } from './uuid.js';

const LAST_EVENT = /^playbook\.(completed|failed|cancelled)$/;

export interface Parts {
  base: string;
  http: Http;
  session: Session;
  store: Store;
  transport: NonNullable<ConnectOptions['transport']>;
  share: boolean;
  socket: ConnectOptions['WebSocket'];
}

/** One tab's side: its runs, its subscriptions and its place in the stream. */
export class Client implements Gateway, RunCore, SubscriptionCore {
  state: State = 'connecting';
  clientId: string | null = null;
  capabilities: Capabilities | null = null;
  readonly resumed: Run[] = [];
  readonly ready: Promise<void>;
  #ready!: () => void;
  #notReady!: (error: unknown) => void;
  #last?: string;
  #tab = uuid();
  #link: Link | null = null;
  #release = () => {};
  #begun = false;
  #trouble: GatewayError | null = null;
  #told: string | null = null; // the token that the hub has
  #firstId = '';
  readonly #waiting = new Set<(error?: unknown) => void>(); // for the first frame
  readonly owners = new Owners();
  readonly #runs = this.owners.runs;
  readonly #watches = this.owners.watches;
  #old: string[] = []; // subscriptions from before a reload
  readonly #handlers = new Map<keyof Events, Set<(value: any) => void>>();
  readonly #leave = () => this.#closeWatches();

  constructor(readonly parts: Parts) {
    this.ready = new Promise((resolve, reject) => { this.#ready = resolve; this.#notReady = reject; });
    this.ready.catch(() => {}); // the state says so, too
    parts.session.onRenewed = (token) => this.#tell(token);
    void this.#begin();
  }

  async #begin(): Promise<void> {
    const { store, session } = this.parts;
    const saved = store.load();
    const claimed = saved && await claim(saved.tab);
    const mine = claimed ? saved : null;
    if (mine) this.#tab = mine.tab;
    this.#release = claimed ?? await claim(this.#tab) ?? this.#release;
    if (this.#over) return this.#release();
    if (mine) this.#restore(mine);
    store.begin(() => this.#save());
    globalThis.addEventListener?.('pagehide', this.#leave);
    let token: string | null;
    try {
      token = await session.get();
      if (session.cookie || typeof document !== 'undefined') await this.#identify();
    } catch (error) {
      return this.#expire(error);
    }
    const { base, transport, share, socket } = this.parts;
    const made = await link({
      tab: this.#tab, share, socket, receive: (m) => this.#receive(m), rejoin: () => this.#join(),
      session: `${base} ${transport} ${session.user ?? token}`,
    });
    if (this.#over) return made.close();
    this.#link = made;
    this.#join();
  }

  /** Learns whose session it is: a tab never shares the stream of another user. */
  async #identify(): Promise<void> {
    const { session } = this.parts;
    let refusals = 0;
    for (let attempt = 0; !this.#over; attempt++) {
      try {
        session.user = await session.who(session.token);
        return;
      } catch (cause) {
        const error = cause instanceof GatewayError ? cause : unreachable(cause);
        if (error instanceof ExpiredError) {
          if (++refusals > 2 || !await session.renew(session.token)) throw error;
          continue;
        }
        this.#lost('connecting', error);
        await delay(pauseOf(error, attempt));
      }
    }
  }

  /** Tells the hub who we are and how far we have come; again after a hub was lost. */
  #join(): void {
    const { base, transport, http, session } = this.parts;
    this.#told = session.token;
    this.#link?.send({
      t: 'join', base, token: session.token, user: session.user, transport, credentials: http.credentials, client: this.clientId ?? undefined,
      last: this.#last, keep: this.#runs.size > 0 || this.#watches.size > 0,
    });
  }

  #tell(token: string | null): void {
    this.#told = token;
    this.#link?.send({ t: 'token', token });
  }

  get #over(): boolean { return this.state === 'closed' || this.state === 'expired'; }

  // What is kept over a reload.

  #restore(saved: Saved): void {
    this.clientId = saved.client ?? null;
    this.#last = saved.last;
    this.#old = saved.subs;
    for (const record of saved.runs) {
      const task = this.#add(new Task(this, record));
      task.ignoreFailure();
      this.resumed.push(task.run);
      if (record.large) void task.fetchLarge();
    }
  }

  #save(): Saved {
    return {
      tab: this.#tab, client: this.clientId ?? undefined, last: this.#last,
      runs: [...this.#runs.values()].filter((t) => !t.done).map((t) => t.record),
      subs: [...this.#old, ...[...this.#watches].flatMap((w) => w.id ?? [])],
    };
  }

  changed(): void { this.parts.store.save(); }

  // What the hub tells.

  #receive(m: ToTab): void {
    if (this.#over) return;
    if (m.t === 'first') this.#first(m.first, m.id, m.stale);
    else if (m.t === 'frame') this.#frame(m.message, m.id);
    else if (m.t === 'lost') this.#lost(m.state, m.error);
    else void this.#renew();
  }

  #first(first: First, id: string, stale: boolean): void {
    const before = this.clientId;
    this.clientId = first.clientId;
    this.capabilities = first.capabilities;
    if (!comparable(position(this.#last), position(id))) this.#last = id;
    this.#firstId = id;
    this.parts.store.flush();
    this.#setState('live');
    if (!this.#begun) this.#resume(before);
    this.#ready();
    for (const done of this.#waiting) done();
    if (stale) return;
    const pending = first.pendingRequests ?? [];
    const list = new Map(pending.map((p) => [p.requestId, p]));
    for (const task of [...this.#runs.values()]) task.pending(list);
    this.#emit('pending', pending);
  }

  /** After a reload: starts what may not have been started, and closes what nobody reads any more. */
  #resume(before: string | null): void {
    this.#begun = true;
    const old = this.#old;
    this.#old = [];
    for (const id of old) this.closeSubscription(id).catch(() => {});
    for (const task of [...this.#runs.values()]) {
      const { execution, start } = task.record;
      if (execution || !this.resumed.includes(task.run)) continue;
      // A start is repeated for the same user only: somebody else's client is never given to us.
      if (start && before === this.clientId) void task.begin();
      else task.reject(new GatewayError('it is not known whether the run was started', 'lost', 0, { requestId: task.record.id }));
    }
  }

  #frame(message: Frame, id: string | null): void {
    if (id && !isAfter(id, this.#last)) return; // seen before
    if (message.method === 'gap') return this.#gap(message);
    this.#dispatch(message);
    if (!id) return;
    this.#last = id;
    this.parts.store.save();
  }

  #dispatch(frame: Frame): void {
    this.#emit('frame', frame);
    switch (frame.method) {
      case 'playbook/result':
        this.#runs.get(frame.params.requestId)?.apply(frame);
        return this.#emit('result', frame.params);
      case 'playbook/progress':
        this.#runs.get(frame.params.requestId)?.apply(frame);
        return this.#emit('progress', frame.params);
      case 'playbook/state':
        this.owners.state(frame.params);
        return this.#emit('playbook', frame.params);
      case 'subscription/event': case 'subscription/ended': return this.owners.change(frame.params);
    }
  }

  #gap(frame: Frame & { method: 'gap' }): void {
    const reset = wasReset(frame);
    const from = position(frame.params.lastEventId);
    const last = position(this.#last);
    // Another tab came back from further behind.
    if (!reset && comparable(from, last) && from.n < last!.n) return;
    if (reset) this.#last = this.#firstId;
    this.#emit('frame', frame);
    this.#emit('gap', frame.params);
    for (const task of [...this.#runs.values()]) void task.check(0, true);
    for (const watch of this.#watches) watch.reopen();
  }

  #lost(state: State, trouble: Trouble | null): void {
    this.#setState(state);
    if (!trouble) return;
    this.#trouble = errorOf(trouble.status, trouble.code, trouble.message);
    this.#emit('error', this.#trouble);
  }

  async #renew(): Promise<void> {
    const { session } = this.parts;
    if (await session.renew(this.#told)) return this.#tell(session.token);
    this.#link?.send({ t: 'token', token: false });
    this.#expire(noSession());
  }

  #expire(error: unknown): void {
    if (this.#over) return;
    this.#setState('expired');
    this.#emit('expired', undefined);
    this.#end(error instanceof GatewayError ? error : noSession());
    // What was stored stays: after a login on another page the runs go on.
  }

  close(): void {
    if (this.state === 'closed') return;
    const expired = this.state === 'expired';
    this.#setState('closed');
    if (!expired) this.#end(new GatewayError('the gateway was closed', 'closed'));
    this.parts.store.end();
  }

  #end(error: GatewayError): void {
    this.parts.store.flush();
    this.parts.store.pause();
    globalThis.removeEventListener?.('pagehide', this.#leave);
    this.#closeWatches();
    this.#notReady(error);
    for (const done of this.#waiting) done(error);
    for (const task of [...this.#runs.values()]) {
      if (this.state === 'closed') task.ignoreFailure(); // whoever closes it knows
      task.reject(error);
    }
    for (const watch of [...this.#watches]) void watch.end(error).catch(() => {});
    this.#link?.close();
    this.#release();
  }

  /** A page that goes leaves no subscription behind. */
  #closeWatches(): void {
    for (const { id } of this.#watches) if (id) this.closeSubscription(id, true).catch(() => {});
  }

  // What runs and subscriptions need.

  client(until: number): Promise<string> {
    if (this.#over) return Promise.reject(this.state === 'closed' ? new GatewayError('the gateway was closed', 'closed') : noSession());
    if (this.#begun) return Promise.resolve(this.clientId!);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const { code = 'no_stream', status = 0, message = 'there is no event stream' } = this.#trouble ?? {};
        done(new UnavailableError(message, code, status));
      }, until - Date.now());
      const done = (error?: unknown) => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        if (error) reject(error);
        else resolve(this.clientId!);
      };
      this.#waiting.add(done);
    });
  }

  start(record: RunRecord, client: string): Promise<string> { return start(this.parts.http, record, client); }

  result(requestId: string): Promise<{ data?: unknown }> {
    return this.parts.http.large(`/api/results/${encodeURIComponent(requestId)}`);
  }

  refresh(): void { this.#link?.send({ t: 'refresh' }); }

  bound(task: Task): void {
    this.parts.store.save();
    this.owners.bound(task);
  }

  settled(task: Task, error?: unknown): void {
    this.owners.settled(task);
    this.parts.store.save();
    if (error instanceof GatewayError && !this.#over) this.#emit('error', error);
  }

  get heard(): boolean { return (this.#handlers.get('error')?.size ?? 0) > 0; }

  async open(source: string, path: string, client: string): Promise<string> {
    return (await this.parts.http.json('/api/subscriptions', 'POST', { source, path, client_id: client })).subscription_id;
  }

  closeSubscription(id: string, leaving = false): Promise<void> { return closeSubscription(this.parts.http, id, leaving); }

  ended(watch: Watch<any>): void {
    this.#watches.delete(watch);
    this.parts.store.save();
  }

  // The public surface.

  run<T>(playbook: string, variables?: Record<string, unknown>, options: RunOptions = {}): Run<T> {
    return this.#start(playbook, { variables, kind: options.kind }, options);
  }

  rerun<T>(executionId: string, variables?: Record<string, unknown>, options: RunOptions = {}): Run<T> {
    return this.#start('', { rerun: executionId, variables }, options);
  }

  #start<T>(playbook: string, start: RunRecord['start'], options: RunOptions): Run<T> {
    const task = new Task(this, { id: options.requestId ?? uuid(), playbook, start }, options);
    if (this.#runs.has(task.record.id)) { // one of the two would never hear of its result
      task.reject(new GatewayError('a run has this request id', 'request_exists', 409));
      return task.run;
    }
    this.#add(task);
    this.parts.store.flush(); // a page that is reloaded now must know of it
    void task.begin();
    return task.run;
  }

  #add(task: Task): Task {
    this.#runs.set(task.record.id, task);
    if (task.executionId) this.bound(task);
    return task;
  }

  cancel(executionId: string, options: { reason?: string; cascade?: boolean } = {}): Promise<void> {
    return cancel(this.parts.http, executionId, options);
  }

  execution(id: string): Promise<Execution | null> { return execution(this.parts.http, id); }

  follow(executionId: string, options: { signal?: AbortSignal } = {}): Subscription<PlaybookState> {
    return this.#watch(new Watch<PlaybookState>(
      this, 'execution', executionId, (e) => e.data as PlaybookState, (s) => LAST_EVENT.test(s?.event_type), options.signal,
    ));
  }

  subscribe(path: string, options: { source?: 'firestore' | 'kv'; signal?: AbortSignal } = {}): Subscription<DocumentEvent | DocumentReset> {
    return this.#watch(new Watch<DocumentEvent | DocumentReset>(
      this, options.source ?? 'firestore', path, (e) => e, null, options.signal,
    ));
  }

  #watch<E>(watch: Watch<E>): Subscription<E> {
    this.#watches.add(watch);
    void watch.open();
    return watch.subscription;
  }

  on<K extends keyof Events>(event: K, handler: (value: Events[K]) => void): () => void {
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(handler));
    return () => { handlers.delete(handler); };
  }

  fetch(path: string, init?: RequestInit): Promise<Response> { return this.parts.http.fetch(path, init); }

  #setState(state: State): void {
    if (this.state === state) return;
    this.state = state;
    this.#emit('state', state);
  }

  #emit<K extends keyof Events>(event: K, value: Events[K]): void {
    for (const handler of [...this.#handlers.get(event) ?? []]) void guarded(() => handler(value));
  }
}
