import { endOf } from './words.js';

const at = (state) => Date.parse(state.at);

/**
 * The steps of a run, from its lifecycle events in the order in which they came: {name, began, ended, status}, status
 * being running, completed, failed or cancelled. A step that runs again, as in a loop, is another one.
 */
export function stepsOf(run) {
  const steps = [];
  const open = (name) => steps.findLast((step) => step.name === name && step.status === 'running');
  for (const state of run.states) {
    if (state.type === 'step.enter') {
      steps.push({ name: state.step, began: at(state), ended: NaN, status: 'running' });
    } else if (state.type === 'step.exit' || state.type === 'command.failed') {
      const failed = state.type === 'command.failed' || endOf(state.status) === 'failed';
      // The failure of a step's command and its exit both end it, in either order.
      const before = open(state.step) ? null : steps.findLast((step) => step.name === state.step);
      if (before) {
        if (failed) before.status = 'failed';
        continue;
      }
      let step = open(state.step);
      if (!step) steps.push(step = { name: state.step, began: NaN, ended: NaN, status: 'running' });
      step.ended = at(state);
      step.status = failed ? 'failed' : 'completed';
    }
  }
  const status = endOf(run.status);
  if (status) close(steps, status, Date.parse(run.endedAt));
  return steps;
}

/** What was under way when the run ended shares its end: a server may tell the end of the run only. */
function close(steps, status, ended) {
  for (const step of steps) {
    if (step.status !== 'running') continue;
    step.status = status;
    step.ended = ended;
  }
}
