import { isObject, text } from './json.js';
import { endOf, failureText, sentence } from './words.js';

const RUN_LIMIT = 20;
const STATE_LIMIT = 200;
const ENDS = { 'playbook.completed': 'completed', 'playbook.failed': 'failed', 'playbook.cancelled': 'cancelled' };

export const isOver = (run) => endOf(run.status) !== '';

const now = () => new Date().toISOString();

/**
 * The runs of the timeline, newest first: what this tab started, and the executions that it follows. What they are told
 * may come in any order: the result, the lifecycle, and the state that was asked for. onChange(run), onRemove(run).
 */
export class Runs {
  #runs;
  #hooks;
  #next = 1;

  constructor(saved, hooks) {
    this.#hooks = hooks;
    this.#runs = saved.filter((run) => isObject(run) && Array.isArray(run.states)).slice(0, RUN_LIMIT);
    for (const run of this.#runs) run.key = `run-${this.#next++}`;
  }

  all() { return this.#runs; }

  unfinished() { return this.#runs.filter((run) => !isOver(run)); }

  byRequest(id) { return this.#runs.find((run) => run.requestId === id); }

  byExecution(id) { return this.#runs.find((run) => run.executionId === id); }

  /** A new run; variables is undefined where they are not known. */
  add({ requestId = '', executionId = '', name = '', variables, followed = false }) {
    const run = {
      key: `run-${this.#next++}`, requestId, executionId, name, variables, followed, followStopped: false, status: executionId ? 'running' : 'starting',
      progress: null, message: '', states: [], result: undefined, hasResult: false, error: '', startedAt: now(), endedAt: null,
    };
    this.#runs.unshift(run);
    while (this.#runs.length > RUN_LIMIT) this.remove(this.#runs.at(-1));
    this.#hooks.onChange(run);
    return run;
  }

  remove(run) {
    const at = this.#runs.indexOf(run);
    if (at < 0) return;
    this.#runs.splice(at, 1);
    this.#hooks.onRemove(run);
  }

  /** Sets members of a run. */
  set(run, members) {
    Object.assign(run, members);
    this.#hooks.onChange(run);
  }

  started(run, executionId) {
    this.set(run, { executionId, status: run.status === 'starting' ? 'running' : run.status });
  }

  /** Takes the params of playbook/progress. A finished run does not move any more. */
  progress(run, params) {
    if (isOver(run)) return;
    const value = Number(params.progress);
    if (params.progress !== null && params.progress !== undefined && Number.isFinite(value)) {
      run.progress = Math.min(1, Math.max(0, value));
    }
    const parts = [text(params.step), text(params.message)].filter(Boolean);
    if (parts.length) run.message = parts.join(': ');
    this.#moves(run);
  }

  /** Takes the params of playbook/state. */
  state(run, params) {
    const type = text(params.event_type);
    run.states.push({ type, step: text(params.step_name), status: text(params.status), at: text(params.at) || now() });
    if (run.states.length > STATE_LIMIT) run.states.shift();
    const end = ENDS[type] && (endOf(params.status) || ENDS[type]);
    if (end && !isOver(run)) this.#end(run, end, text(params.at));
    else this.#moves(run);
  }

  #moves(run) {
    if (run.status === 'starting') run.status = 'running';
    this.#hooks.onChange(run);
  }

  #end(run, status, at = '') {
    run.status = status;
    run.endedAt = at || run.endedAt || now();
    if (status === 'completed' && run.progress !== null) run.progress = 1;
    this.#hooks.onChange(run);
  }

  /** The result outranks what the lifecycle said before. */
  succeed(run, result) {
    Object.assign(run, { result, hasResult: true, resultDropped: false, error: '' });
    this.#end(run, 'completed', run.endedAt);
  }

  fail(run, cause) {
    if (cause.code === 'cancelled') return this.#end(run, 'cancelled', run.endedAt);
    run.error = sentence(cause);
    // The error of a frame has a code, the message and what the worker added.
    const added = isObject(cause.data) && 'message' in cause.data ? cause.data.data : cause.data;
    if (added !== undefined && added !== null) Object.assign(run, { result: added, hasResult: true });
    return this.#end(run, 'failed', run.endedAt);
  }

  /** NoETL has no such execution, or has it no longer. */
  lose(run) {
    if (isOver(run)) return;
    run.error = 'NoETL no longer knows this execution: nobody can tell how it ended.';
    this.#end(run, 'failed');
  }

  /** What the gateway answered to a question for the execution's state. */
  learn(run, execution) {
    run.name ||= text(execution.path) || text(execution.name);
    const end = execution.failed ? 'failed' : endOf(execution.status) || (execution.completed ? 'completed' : '');
    if (!end) {
      this.#moves(run);
      return;
    }
    if ((!run.hasResult || run.resultDropped) && execution.result !== null && execution.result !== undefined) {
      Object.assign(run, { result: execution.result, hasResult: true, resultDropped: false });
    }
    if (end === 'failed' && !run.error) run.error = sentence(failureText(execution.error) || 'The playbook failed.');
    this.#end(run, end, run.endedAt);
  }
}
