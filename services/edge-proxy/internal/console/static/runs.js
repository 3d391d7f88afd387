import { isObject, text } from './json.js';

const RUN_LIMIT = 20;
const STATE_LIMIT = 100;
const TERMINAL = new Set(['completed', 'failed', 'cancelled']);
const SYNONYMS = {
  complete: 'completed', success: 'completed', succeeded: 'completed', done: 'completed', ok: 'completed',
  error: 'failed', failure: 'failed', timeout: 'failed', canceled: 'cancelled',
};

export const isOver = (run) => TERMINAL.has(run.status);

/** The end that a status word stands for, or '' while there is none. */
export function statusOf(status) {
  const word = text(status).toLowerCase();
  const known = SYNONYMS[word] ?? word;
  return TERMINAL.has(known) ? known : '';
}

const now = () => new Date().toISOString();

/**
 * The runs of the timeline, newest first, built from frames and from answers to executePlaybook,
 * which may come in any order: a lifecycle frame knows only the execution id, a progress frame may
 * beat the answer that names both. onChange(run), onRemove(run).
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

  started(answer, fallbackName) {
    const run = this.#upsert({
      requestId: text(answer.requestId),
      executionId: text(answer.executionId ?? answer.id),
      name: text(answer.name) || fallbackName,
    });
    if (!run.message) run.message = text(answer.textOutput);
    this.#settle(run, statusOf(answer.status));
    this.#hooks.onChange(run);
    return run;
  }

  /** Takes out a run that was not started, unless its frames say otherwise. */
  drop(requestId) {
    const run = this.#runs.find((r) => r.requestId === requestId);
    if (run && !run.executionId && !isOver(run)) this.#remove(run);
  }

  pending(request) {
    this.#hooks.onChange(this.#upsert({
      requestId: text(request.requestId), executionId: text(request.executionId), name: text(request.playbookPath),
    }));
  }

  /** Applies one notification; returns the run it changed, or null when it is not about a run. */
  apply(message) {
    const params = isObject(message.params) ? message.params : {};
    const handler = {
      'playbook/progress': () => this.#progress(params),
      'playbook/state': () => this.#state(params),
      'playbook/result': () => this.#result(params),
    }[message.method];
    const run = handler?.() ?? null;
    if (run) this.#hooks.onChange(run);
    return run;
  }

  #progress(params) {
    const run = this.#upsert({ requestId: text(params.requestId), executionId: text(params.executionId) });
    // Late or out of order: a finished run does not move any more.
    if (isOver(run)) return run;
    const value = Number(params.progress);
    if (params.progress !== null && params.progress !== undefined && Number.isFinite(value)) {
      run.progress = Math.min(1, Math.max(0, value));
    }
    const parts = [text(params.step), text(params.message)].filter(Boolean);
    if (parts.length) run.message = parts.join(': ');
    this.#settle(run, '');
    return run;
  }

  #state(params) {
    const run = this.#upsert({ requestId: '', executionId: text(params.execution_id) });
    run.states.push({ type: text(params.event_type), step: text(params.step_name), status: text(params.status), at: text(params.at) || now() });
    if (run.states.length > STATE_LIMIT) run.states.shift();
    const over = { 'playbook.completed': 'completed', 'playbook.failed': 'failed', 'playbook.cancelled': 'cancelled' }[text(params.event_type)];
    this.#settle(run, over ? statusOf(params.status) || over : '');
    return run;
  }

  #result(params) {
    const run = this.#upsert({ requestId: text(params.requestId), executionId: text(params.executionId) });
    // Too large for a frame: the error says where it is, and failed only if the status says so.
    const large = params.error?.data?.code === 'result_too_large';
    const failed = statusOf(params.status) === 'failed' || Boolean(params.error && !large);
    run.elsewhere = large && Boolean(params.error.data.url);
    if (large) run.message = text(params.error.message);
    run.result = params.data;
    run.resultDropped = false;
    run.error = failed ? this.#errorOf(params.error) : null;
    run.hasResult = true;
    // The result outranks what the lifecycle said before.
    run.status = failed ? 'failed' : statusOf(params.status) || 'completed';
    run.endedAt ??= now();
    if (run.status === 'completed') run.progress = 1;
    return run;
  }

  #errorOf(error) {
    if (isObject(error)) return { code: text(error.code), message: text(error.message) || 'The playbook failed.', data: error.data };
    return { code: '', message: text(error) || 'The playbook failed.' };
  }

  /** The callback of a result that was too large for a frame has been fetched. */
  fetched(run, callback) {
    run.result = callback.data ?? callback.error;
    run.elsewhere = false;
    this.#hooks.onChange(run);
  }

  #settle(run, status) {
    if (isOver(run)) return;
    if (status) {
      run.status = status;
      run.endedAt = now();
      if (status === 'completed') run.progress = 1;
    } else if (run.progress !== null || run.states.length > 0) {
      run.status = 'running';
    }
  }

  #upsert({ requestId, executionId, name = '' }) {
    const byRequest = requestId && this.#runs.find((run) => run.requestId === requestId);
    const byExecution = executionId && this.#runs.find((run) => run.executionId === executionId
      && (!requestId || !run.requestId || run.requestId === requestId));
    let run = byRequest || byExecution;
    if (byRequest && byExecution && byRequest !== byExecution) this.#merge(byRequest, byExecution);
    if (!run) run = this.#create();
    run.requestId ||= requestId;
    run.executionId ||= executionId;
    run.name ||= name;
    return run;
  }

  #merge(into, from) {
    into.states = [...from.states, ...into.states].sort((a, b) => Date.parse(a.at) - Date.parse(b.at) || 0);
    into.progress ??= from.progress;
    into.message ||= from.message;
    if (from.hasResult && !into.hasResult) Object.assign(into, { result: from.result, elsewhere: from.elsewhere, error: from.error, hasResult: true });
    if (isOver(from) && !isOver(into)) Object.assign(into, { status: from.status, endedAt: from.endedAt, progress: from.progress });
    if (from.startedAt < into.startedAt) into.startedAt = from.startedAt;
    this.#remove(from);
  }

  #create() {
    const run = {
      key: `run-${this.#next++}`, requestId: '', executionId: '', name: '', status: 'started', progress: null, message: '',
      states: [], result: undefined, elsewhere: false, hasResult: false, error: null, startedAt: now(), endedAt: null,
    };
    this.#runs.unshift(run);
    while (this.#runs.length > RUN_LIMIT) this.#remove(this.#runs.at(-1));
    return run;
  }

  #remove(run) {
    this.#runs.splice(this.#runs.indexOf(run), 1);
    this.#hooks.onRemove(run);
  }
}
