import type { DocumentEvent, PlaybookState, SubscriptionEnded } from './frames.js';
import type { Task } from './run.js';
import type { Watch } from './subscription.js';

const EARLY_FRAMES = 5000; // of executions and subscriptions whose id is not known yet

export type Change = DocumentEvent | SubscriptionEnded;

/** Which run or subscription a frame is for. What comes before its owner's id is known is kept. */
export class Owners {
  readonly runs = new Map<string, Task>();
  readonly watches = new Set<Watch<any>>();
  readonly #byExecution = new Map<string, Set<Task>>();
  #opening = 0;
  #changes: Change[] = [];
  #states: PlaybookState[] = [];

  state(params: PlaybookState): void {
    const tasks = this.#byExecution.get(params.execution_id);
    if (tasks) {
      for (const task of [...tasks]) task.apply({ method: 'playbook/state', params });
    } else if (this.#starting() && this.#states.length < EARLY_FRAMES) {
      this.#states.push(params);
    }
  }

  /** Whether the start of a run is not answered yet. */
  #starting(): boolean { return [...this.runs.values()].some((t) => !t.executionId); }

  bound(task: Task): void {
    const id = task.executionId!;
    this.#byExecution.set(id, (this.#byExecution.get(id) ?? new Set()).add(task));
    const early = this.#states;
    this.#states = early.filter((s) => s.execution_id !== id);
    for (const params of early) if (params.execution_id === id) task.apply({ method: 'playbook/state', params });
    if (!this.#starting()) this.#states = [];
  }

  settled(task: Task): void {
    if (!task.abandoned && this.runs.get(task.record.id) === task) this.runs.delete(task.record.id);
    const tasks = this.#byExecution.get(task.executionId ?? '');
    tasks?.delete(task);
    if (tasks?.size === 0) this.#byExecution.delete(task.executionId!);
  }

  change(params: Change): void {
    const watch = [...this.watches].find((w) => w.id === params.subscription_id);
    if (watch) watch.apply(params);
    else if (this.#opening > 0 && this.#changes.length < EARLY_FRAMES) this.#changes.push(params);
  }

  early(id: string): Change[] { return this.#changes.filter((e) => e.subscription_id === id); }

  opening(by: 1 | -1): void {
    this.#opening += by;
    if (this.#opening === 0) this.#changes = [];
  }
}
