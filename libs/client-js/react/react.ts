import type { Frame, Gateway, Progress, Run, RunOptions } from '@noetl/gateway-client';
import { useCallback, useEffect, useRef, useState } from 'react';

const KEPT_FRAMES = 200;

export interface PlaybookRun<T> {
  state: 'idle' | 'running' | 'completed' | 'failed' | 'cancelled';
  requestId: string | null;
  executionId: string | null;
  /** The latest frames of the run, oldest first. */
  frames: readonly Frame[];
  progress: Progress | null;
  result: T | undefined;
  error: Error | null;
}

export interface UsePlaybook<T> extends PlaybookRun<T> {
  /** Starts it; what is shown is the latest run. Its promise needs no handler: `error` has what it failed with. */
  run(variables?: Record<string, unknown>, options?: RunOptions): Run<T>;
  /** Cancels the run that is shown. */
  cancel(): Promise<void>;
}

const IDLE: PlaybookRun<never> = {
  state: 'idle', requestId: null, executionId: null, frames: [], progress: null, result: undefined, error: null,
};

/**
 * Runs a playbook and renders how it is doing. A run that was unfinished when the page was reloaded is shown again.
 * When the component is unmounted the run goes on.
 */
export function usePlaybook<T = unknown>(gateway: Gateway, playbook: string): UsePlaybook<T> {
  const [shown, show] = useState<PlaybookRun<T>>(IDLE);
  const current = useRef<Run<T> | null>(null);

  const watch = useCallback((run: Run<T>) => {
    current.current = run;
    const update = (change: (before: PlaybookRun<T>) => Partial<PlaybookRun<T>>) => {
      if (current.current === run) show((before) => ({ ...before, executionId: run.executionId, ...change(before) }));
    };
    show({ ...IDLE, state: 'running', requestId: run.requestId, executionId: run.executionId });
    run.started.then(() => update(() => ({})), () => {});
    run.then(
      (result) => update(() => ({ state: 'completed', result })),
      (error) => update(() => ({ state: error?.code === 'cancelled' ? 'cancelled' : 'failed', error })),
    );
    void (async () => {
      for await (const frame of run) {
        update(({ frames }) => ({
          frames: [...frames, frame].slice(-KEPT_FRAMES),
          ...(frame.method === 'playbook/progress' && { progress: frame.params }),
        }));
      }
    })().catch(() => {}); // the promise reports it
  }, []);

  useEffect(() => {
    let mounted = true;
    if (!current.current) show(IDLE); // it was another playbook before
    gateway.ready.then(() => {
      const before = gateway.resumed.filter((run) => run.playbook === playbook).at(-1);
      if (mounted && before && !current.current) watch(before as Run<T>);
    }, () => {});
    return () => {
      mounted = false;
      current.current = null;
    };
  }, [gateway, playbook, watch]);

  const run = useCallback((variables?: Record<string, unknown>, options?: RunOptions) => {
    const started = gateway.run<T>(playbook, variables, options);
    watch(started);
    return started;
  }, [gateway, playbook, watch]);

  const cancel = useCallback(async () => { await current.current?.cancel(); }, []);

  return { ...shown, run, cancel };
}
