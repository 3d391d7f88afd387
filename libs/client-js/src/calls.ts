import type { Execution } from './api.js';
import { backoff, delay } from './backoff.js';
import { GatewayError, UnavailableError } from './errors.js';
import type { Http } from './http.js';
import type { RunRecord } from './store.js';

const CLOSE_TRIES = 5; // then the subscription stays until its client is gone

const START = `mutation($name: String!, $variables: JSON, $kind: ExecutableResourceKind, $c: String, $r: String) {
executePlaybook(name: $name, variables: $variables, resourceKind: $kind, clientId: $c, requestId: $r) { executionId } }`;
const RERUN = `mutation($id: String!, $variables: JSON, $c: String, $r: String) {
rerunExecution(executionId: $id, variables: $variables, clientId: $c, requestId: $r) { executionId } }`;
const EXECUTION = `query($id: String!) {
execution(id: $id) { executionId status name path completed failed result error } }`;

export async function start(http: Http, record: RunRecord, client: string): Promise<string> {
  const { rerun, variables, kind } = record.start ?? {};
  const input = { variables: variables ?? null, c: client, r: record.id };
  const data = rerun === undefined
    ? await http.graphql(START, { ...input, name: record.playbook, kind: kind ?? null })
    : await http.graphql(RERUN, { ...input, id: rerun });
  return (data.executePlaybook ?? data.rerunExecution).executionId;
}

export async function execution(http: Http, id: string): Promise<Execution | null> {
  return (await http.graphql(EXECUTION, { id })).execution;
}

/** Cancels an execution; one that is over stays as it is. */
export async function cancel(http: Http, id: string, options: object): Promise<void> {
  // Two dots would be another path.
  if (!/^[\w-]+$/.test(id)) throw new GatewayError('that is no execution id', 'bad_execution_id', 400);
  try {
    await http.json(`/noetl/executions/${id}/cancel`, 'POST', options);
  } catch (error) {
    if (!(error instanceof GatewayError) || (error.status !== 409 && error.status !== 422)) throw error;
    const { completed, failed } = await execution(http, id) ?? {};
    if (!completed && !failed) throw error;
  }
}

/** Leaving: the page goes, and waits for no answer. */
export async function closeSubscription(http: Http, id: string, leaving: boolean): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await http.json(`/api/subscriptions/${encodeURIComponent(id)}`, 'DELETE', undefined, { keepalive: leaving });
    } catch (error) {
      if (leaving || attempt >= CLOSE_TRIES || !(error instanceof UnavailableError)) throw error;
      await delay(backoff(attempt));
    }
  }
}
