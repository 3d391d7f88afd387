import {
  connect, DeniedError, ExpiredError, GatewayError, RunFailedError, TimeoutError, UnavailableError,
  type DocumentEvent, type DocumentReset, type Frame, type Gateway, type PlaybookState, type Progress, type Run, type State, type Subscription,
} from '@noetl/gateway-client';
import { usePlaybook, type UsePlaybook } from '@noetl/gateway-client/react';

interface Echo { text: string }

export async function use(): Promise<void> {
  const gateway: Gateway = connect({ url: new URL('https://gateway.example'), getSession: async (why) => (why === 'start' ? 'a' : null) });
  connect();
  connect({ cookie: true, renew: () => true, transport: 'websocket', share: false, storage: null, timeout: 1 });
  const state: State = gateway.state;
  const off: () => void = gateway.on('progress', (p: Progress) => p.progress.toFixed());
  gateway.on('result', ({ requestId, error }) => [requestId.length, error?.code.toFixed()]);
  gateway.on('expired', () => off());
  const run: Run<Echo> = gateway.run<Echo>('demo/echo', { text: state }, {
    signal: new AbortController().signal, onProgress: (p) => p.step, onState: (s) => s.step_name?.length, timeout: 1, kind: 'agent',
  });
  const echo: Echo = await run;
  const id: string = await run.started;
  for await (const frame of run) method(frame);
  try {
    await gateway.rerun(id, { echo });
  } catch (error) {
    if (error instanceof RunFailedError || error instanceof DeniedError || error instanceof ExpiredError) error.executionId?.length;
    else if (error instanceof UnavailableError || error instanceof TimeoutError) error.status.toFixed();
    else if (error instanceof GatewayError) error.code.length;
  }
  await gateway.cancel(id, { reason: 'x', cascade: true });
  (await gateway.execution(id))?.completed?.valueOf();
  const events: Subscription<PlaybookState> = gateway.follow(id);
  for await (const event of events) event.event_type.length;
  const documents: Subscription<DocumentEvent | DocumentReset> = gateway.subscribe('boards/b/cards', { source: 'kv' });
  for await (const { op, data } of documents) [op === 'removed', data];
  await documents.close();
  for (const before of gateway.resumed) await before.cancel();
  (await gateway.fetch('/api/me', { method: 'GET' })).status.toFixed();
  gateway.capabilities?.subscriptions.valueOf();
  gateway.close();

  // @ts-expect-error there is no such state
  const wrong: State = 'dead';
  // @ts-expect-error there is no such event
  gateway.on('ping', () => {});
  // @ts-expect-error it is not ours to set
  gateway.clientId = wrong;
  // @ts-expect-error there is no such transport
  connect({ transport: 'pigeon' });
}

function method(frame: Frame): string {
  switch (frame.method) {
    case 'playbook/result': return frame.params.status;
    case 'playbook/progress': return frame.params.message;
    case 'playbook/state': return frame.params.event_type;
    default: return frame.method;
  }
}

export function Component(gateway: Gateway): UsePlaybook<Echo> {
  const playbook = usePlaybook<Echo>(gateway, 'demo/echo');
  playbook.result?.text.length;
  return playbook;
}
