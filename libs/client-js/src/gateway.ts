import type { ConnectOptions, Events, Execution, Gateway, Run, RunOptions, State, Subscription } from './api.js';
import { backoff, delay } from './backoff.js';
import { GatewayError, UnavailableError } from './errors.js';
import type { Capabilities, DocumentEvent, First, Frame, PlaybookState, SubscriptionEnded } from './frames.js';
import { guarded } from './guarded.js';
import { errorOf, Http, noSession, Session } from './http.js';
import { wasReset, type ToTab, type Trouble } from './hub.js';
import { claim, link, type Link } from './link.js';
import { comparable, isAfter, position } from './position.js';
import { Task, type RunCore } from './run.js';
import { Store, type RunRecord, type Saved } from './store.js';
import { Watch, type SubscriptionCore } from './subscription.js';
import { uuid } from './uuid.js';

const EARLY_FRAMES = 5000; // of executions and subscriptions whose id is not known yet
const CLOSE_TRIES = 5; // then the subscription stays until its client is gone
const LAST_EVENT = /^playbook\.(completed|failed|cancelled)$/;

const START = `mutation($name: String!, $variables: JSON, $kind: ExecutableResourceKind, $c: String, $r: String) {
executePlaybook(name: $name, variables: $variables, resourceKind: $kind, clientId: $c, requestId: $r) { executionId } }`;
const RERUN = `mutation($id: String!, $variables: JSON, $c: String, $r: String) {
rerunExecution(executionId: $id, variables: $variables, clientId: $c, requestId: $r) { executionId } }`;
const EXECUTION = `query($id: String!) {
execution(id: $id) { executionId status name path completed failed result error } }`;

export interface Parts {
  base: string;
  http: Http;
  session: Session;
  store: Store;
  transport: NonNullable<ConnectOptions['transport']>;
  share: boolean;
  socket: ConnectOptions['WebSocket'];
}

async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, '0')).join('');
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
  #waiting = new Set<{ resolve(client: string): void; reject(e: unknown): void }>();
  readonly #runs = new Map<string, Task>();
  readonly #byExecution = new Map<string, Set<Task>>();
  readonly #watches = new Set<Watch<any>>();
  #old: string[] = []; // subscriptions from before a reload
  #opening = 0;
  #early: Array<DocumentEvent | SubscriptionEnded> = [];
  #earlyStates: PlaybookState[] = [];
  readonly #handlers = new Map<keyof Events, Set<(value: any) => void>>();
  readonly #leave = () => this.#closeWatches();

  constructor(readonly parts: Parts) {
    this.ready = new Promise((resolve, reject) => { this.#ready = resolve; this.#notReady = reject; });
    this.ready.catch(() => {}); // the state tells, too
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
    } catch (error) {
      return this.#expire(error);
    }
    const { base, transport, share, socket } = this.parts;
    const made = await link({
      tab: this.#tab, share, socket, receive: (m) => this.#receive(m), rejoin: () => this.#join(),
      session: () => digest(`${base} ${transport} ${token}`),
    });
    if (this.#over) return made.close();
    this.#link = made;
    this.#join();
  }

  /** Tells the hub who we are and how far we have come; again after a hub was lost. */
  #join(): void {
    const { base, transport, http, session } = this.parts;
    this.#told = session.token;
    this.#link?.send({
      t: 'join', base, token: session.token, transport, credentials: http.credentials, client: this.clientId ?? undefined,
      last: this.#last, keep: this.#runs.size > 0 || this.#watches.size > 0,
    });
  }

  #told: string | null = null; // the token that the hub has

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
    for (const { resolve } of this.#waiting) resolve(first.clientId);
    this.#waiting.clear();
    if (stale) return;
    const pending = first.pendingRequests ?? [];
    const list = new Map(pending.map((p) => [p.requestId, p]));
    for (const task of [...this.#runs.values()]) task.pending(list);
    this.#emit('pending', pending);
  }

  #firstId = '';

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
        this.#state(frame.params);
        return this.#emit('playbook', frame.params);
      case 'subscription/event': case 'subscription/ended': return this.#subscription(frame.params);
    }
  }

  #state(params: PlaybookState): void {
    const tasks = this.#byExecution.get(params.execution_id);
    if (tasks) {
      for (const task of [...tasks]) task.apply({ method: 'playbook/state', params });
    } else if ([...this.#runs.values()].some((t) => !t.executionId) && this.#earlyStates.length < EARLY_FRAMES) {
      this.#earlyStates.push(params); // of a run whose start is not answered yet
    }
  }

  #subscription(params: DocumentEvent | SubscriptionEnded): void {
    const watch = [...this.#watches].find((w) => w.id === params.subscription_id);
    if (watch) watch.apply(params);
    else if (this.#opening > 0 && this.#early.length < EARLY_FRAMES) this.#early.push(params);
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
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting.clear();
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
      const waiter = { resolve, reject };
      this.#waiting.add(waiter);
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter);
        const { code = 'no_stream', status = 0, message = 'there is no event stream' } = this.#trouble ?? {};
        reject(new UnavailableError(message, code, status));
      }, Math.max(0, until - Date.now()));
      const done = () => clearTimeout(timer);
      waiter.resolve = (client) => { done(); resolve(client); };
      waiter.reject = (error) => { done(); reject(error); };
    });
  }

  async start({ id, playbook, start }: RunRecord, client: string): Promise<string> {
    const { rerun, variables, kind } = start ?? {};
    const input = { variables: variables ?? null, c: client, r: id };
    const data = rerun === undefined
      ? await this.parts.http.graphql(START, { ...input, name: playbook, kind: kind ?? null })
      : await this.parts.http.graphql(RERUN, { ...input, id: rerun });
    return (data.executePlaybook ?? data.rerunExecution).executionId;
  }

  result(requestId: string): Promise<{ data?: unknown }> {
    return this.parts.http.large(`/api/results/${encodeURIComponent(requestId)}`);
  }

  refresh(): void { this.#link?.send({ t: 'refresh' }); }

  bound(task: Task): void {
    const id = task.executionId!;
    const tasks = this.#byExecution.get(id) ?? new Set();
    this.#byExecution.set(id, tasks.add(task));
    this.parts.store.save();
    const early = this.#earlyStates;
    this.#earlyStates = early.filter((s) => s.execution_id !== id);
    for (const params of early) if (params.execution_id === id) task.apply({ method: 'playbook/state', params });
    if ([...this.#runs.values()].every((t) => t.executionId)) this.#earlyStates = [];
  }

  settled(task: Task, error?: unknown): void {
    if (!task.abandoned && this.#runs.get(task.record.id) === task) this.#runs.delete(task.record.id);
    const tasks = this.#byExecution.get(task.executionId ?? '');
    tasks?.delete(task);
    if (tasks?.size === 0) this.#byExecution.delete(task.executionId!);
    this.parts.store.save();
    if (error instanceof GatewayError && !this.#over) this.#emit('error', error);
  }

  get heard(): boolean { return (this.#handlers.get('error')?.size ?? 0) > 0; }

  async open(source: string, path: string, client: string): Promise<string> {
    return (await this.parts.http.json('/api/subscriptions', 'POST', { source, path, client_id: client })).subscription_id;
  }

  async closeSubscription(id: string, keepalive = false): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.parts.http.json(`/api/subscriptions/${encodeURIComponent(id)}`, 'DELETE', undefined, { keepalive });
      } catch (error) {
        if (keepalive || attempt >= CLOSE_TRIES || !(error instanceof UnavailableError)) throw error;
        await delay(backoff(attempt));
      }
    }
  }

  early(id: string): Array<DocumentEvent | SubscriptionEnded> {
    return this.#early.filter((e) => e.subscription_id === id);
  }

  opening(by: 1 | -1): void {
    this.#opening += by;
    if (this.#opening === 0) this.#early = [];
  }

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

  async cancel(executionId: string, options: { reason?: string; cascade?: boolean } = {}): Promise<void> {
    // Two dots would be another path.
    if (!/^[\w-]+$/.test(executionId)) throw new GatewayError('that is no execution id', 'bad_execution_id', 400);
    await this.parts.http.json(`/noetl/executions/${executionId}/cancel`, 'POST', options);
  }

  async execution(id: string): Promise<Execution | null> {
    return (await this.parts.http.graphql(EXECUTION, { id })).execution;
  }

  follow(executionId: string, options: { signal?: AbortSignal } = {}): Subscription<PlaybookState> {
    return this.#watch(new Watch<PlaybookState>(
      this, 'execution', executionId, (e) => e.data as PlaybookState, (s) => LAST_EVENT.test(s?.event_type), options.signal,
    ));
  }

  subscribe(path: string, options: { source?: 'firestore' | 'kv'; signal?: AbortSignal } = {}): Subscription<DocumentEvent> {
    return this.#watch(new Watch<DocumentEvent>(this, options.source ?? 'firestore', path, (e) => e, null, options.signal));
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
