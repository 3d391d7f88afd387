import { text } from './json.js';
import { isOver } from './runs.js';

const UNKNOWN_MS = 5000;

/**
 * What a person does with runs, by the client library: start, cancel, rerun, follow. It keeps the cards of one session up
 * to date, over reloads and reconnects. onError(cause, what) reports what did not work.
 */
export class Desk {
  #gateway;
  #runs;
  #hooks;
  #handles = new Map(); // run.key → the library's Run
  #follows = new Map(); // run.key → the library's Subscription
  #left = false;

  constructor(gateway, runs, hooks) {
    this.#gateway = gateway;
    this.#runs = runs;
    this.#hooks = hooks;
    gateway.ready.then(() => this.#takeUp(), () => {});
  }

  /** Nothing is told any more: the person is gone. */
  leave() { this.#left = true; }

  /** Starts a playbook; resolves with its card when NoETL has started it, or with null. */
  start(name, variables) {
    return this.#begin(this.#gateway.run(name, variables), { name, variables });
  }

  rerun(run) {
    const again = this.#gateway.rerun(run.executionId, run.variables);
    return this.#begin(again, { name: run.name, variables: run.variables });
  }

  async #begin(handle, { name, variables }) {
    const run = this.#runs.add({ requestId: handle.requestId, name, variables });
    this.#hooks.onStart(run);
    this.#attach(run, handle);
    try {
      await handle.started;
      return run;
    } catch {
      return null; // #settle reports why
    }
  }

  async cancel(run) {
    const before = run.status;
    this.#runs.set(run, { status: 'cancelling' });
    try {
      await (this.#handles.get(run.key)?.cancel() ?? this.#gateway.cancel(run.executionId));
    } catch (cause) {
      if (this.#left || isOver(run)) return;
      this.#runs.set(run, { status: before });
      this.#hooks.onError(cause, `${run.name} was not cancelled`);
    }
  }

  /** Shows an execution, however it was started, and its events from the beginning. */
  show({ executionId, name }) {
    const known = this.#runs.byExecution(executionId);
    if (known) return known;
    const run = this.#runs.add({ executionId, name, followed: true });
    this.#follow(run);
    return run;
  }

  stopFollowing(run) {
    this.#follows.get(run.key)?.close().catch(() => {});
  }

  isFollowing(run) { return this.#follows.has(run.key); }

  /** Stops watching a run. */
  forget(run) {
    this.stopFollowing(run);
    this.#handles.delete(run.key);
  }

  /** After a reconnect: what ended meanwhile must not look as if it ran. */
  refreshAll() {
    for (const run of this.#runs.unfinished()) if (run.executionId) this.refresh(run);
  }

  /** Asks how an execution is doing. One that NoETL does not know is asked for again: it may be too new. */
  async refresh(run, again = false) {
    try {
      const execution = await this.#gateway.execution(run.executionId);
      if (this.#left) return;
      if (execution) this.#runs.learn(run, execution);
      else if (again) this.#runs.lose(run);
      else if (!isOver(run)) setTimeout(() => { if (!this.#left) this.refresh(run, true); }, UNKNOWN_MS);
    } catch (cause) {
      if (!this.#left) this.#hooks.onError(cause, `The state of ${run.name || run.executionId} is not known`);
    }
  }

  /** After a reload: runs that the library has resumed go on; of the others the gateway is asked. */
  async #takeUp() {
    if (this.#left) return;
    const resumed = new Map(this.#gateway.resumed.map((handle) => [handle.requestId, handle]));
    for (const run of [...this.#runs.unfinished()]) {
      const handle = run.requestId && resumed.get(run.requestId);
      if (handle && !this.#handles.has(run.key)) this.#attach(run, handle);
      else if (this.#handles.has(run.key)) continue;
      else if (!run.executionId) this.#runs.remove(run); // it was not started
      else this.#takeUpAlone(run);
    }
    for (const [requestId, handle] of resumed) {
      if (this.#runs.byRequest(requestId)) continue;
      this.#attach(this.#runs.add({ requestId, executionId: handle.executionId ?? '', name: handle.playbook }), handle);
    }
  }

  async #takeUpAlone(run) {
    await this.refresh(run);
    if (!this.#left && !isOver(run) && !run.followStopped) this.#follow(run);
  }

  /** Keeps a card up to date with a run of the library. */
  #attach(run, handle) {
    this.#handles.set(run.key, handle);
    handle.started.then((id) => { if (!this.#left) this.#runs.started(run, id); }, () => {});
    this.#read(run, handle);
    handle.then((result) => this.#settle(run, () => this.#runs.succeed(run, result)), (cause) => this.#settle(run, () => this.#fail(run, cause)));
  }

  async #read(run, handle) {
    try {
      for await (const { method, params } of handle) {
        if (this.#left) return;
        if (method === 'playbook/progress') this.#runs.progress(run, params);
        else if (method === 'playbook/state') this.#runs.state(run, params);
      }
    } catch { /* the promise of the run reports it */ }
  }

  #settle(run, then) {
    this.#handles.delete(run.key);
    if (!this.#left) then();
  }

  #fail(run, cause) {
    if (cause.name === 'RunFailedError') {
      this.#runs.fail(run, cause);
    } else if (!run.executionId) {
      // NoETL may have started it all the same when the answer was lost; then history has it.
      this.#runs.remove(run);
      this.#hooks.onError(cause, cause.name === 'DeniedError' ? `You may not run ${run.name}` : `${run.name} was not started`);
    } else if (cause.name !== 'ExpiredError') {
      this.#runs.set(run, { error: text(cause.message) });
      this.refresh(run);
    }
  }

  async #follow(run) {
    const subscription = this.#gateway.follow(run.executionId);
    this.#follows.set(run.key, subscription);
    this.#runs.set(run, { states: [], followed: true, followStopped: false, note: '' });
    try {
      for await (const state of subscription) {
        if (this.#left) return;
        this.#runs.state(run, state);
      }
    } catch (cause) {
      if (!this.#left) this.#runs.set(run, { note: text(cause.message) });
    } finally {
      this.#follows.delete(run.key);
    }
    if (this.#left || !this.#runs.all().includes(run)) return;
    if (!isOver(run)) this.#runs.set(run, { followStopped: true });
    await this.refresh(run);
  }

  followAgain(run) { this.#follow(run); }
}
