// Drives the built library, in Node or in a page. Orders come in as objects, what happens goes out as objects; the Go
// tests judge it.
export function drive({ connect, RunFailedError, GatewayError }, say) {
  let gateway = null;
  let tokens = [];
  const runs = new Map();
  const watch = (run, name) => {
    runs.set(name, run);
    run.started.then((id) => say('started', { name, id, request: run.requestId }), () => {});
    run.then(
      (value) => say('result', { name, request: run.requestId, text: JSON.stringify(value) ?? '' }),
      (error) => say('failed', { name, request: run.requestId, ...told(error) }),
    );
  };
  const told = (error) => ({
    error: error?.name ?? String(error), code: String(error?.code ?? ''), status: error?.status ?? 0, text: error?.message ?? '',
    typed: error instanceof GatewayError, failed: error instanceof RunFailedError,
  });
  const orders = {
    connect({ tokens: given = [], ...options }) {
      tokens = [...given];
      gateway = connect({
        ...(tokens.length > 0 && { getSession: (why) => { say('session', { text: why }); return tokens.shift() ?? null; } }),
        ...options,
      });
      gateway.on('state', (state) => say('state', { text: state }));
      gateway.on('error', (error) => say('error', told(error)));
      gateway.on('gap', (gap) => say('gap', { text: gap.reason }));
      gateway.on('expired', () => say('expired'));
      gateway.on('pending', (list) => say('pending', { text: JSON.stringify(list) }));
      gateway.ready.then(() => {
        say('ready', { id: gateway.clientId });
        gateway.resumed.forEach((run, i) => watch(run, `resumed ${i}`));
        say('resumed', { count: gateway.resumed.length });
      }, (error) => say('unready', told(error)));
    },
    run({ name, playbook, variables, ...options }) {
      const onProgress = (p) => say('progress', { name, text: p.step });
      const onState = (s) => say('playbook', { name, text: s.event_type });
      watch(gateway.run(playbook, variables, { ...options, onProgress, onState }), name);
    },
    async many({ count, concurrency, playbook }) {
      let next = 0;
      let wrong = 0;
      const seen = new Map();
      gateway.on('result', ({ requestId }) => seen.set(requestId, (seen.get(requestId) ?? 0) + 1));
      const worker = async () => {
        while (next < count) {
          const n = next++;
          try {
            const value = await gateway.run(playbook, { n });
            if (value?.n !== n) { wrong++; say('wrong', { text: JSON.stringify(value), count: n }); }
          } catch (error) {
            wrong++;
            say('wrong', { count: n, ...told(error) });
          }
        }
      };
      await Promise.all(Array.from({ length: concurrency }, worker));
      say('many', { count: count - wrong, twice: [...seen.values()].filter((n) => n > 1).length });
    },
    async follow({ execution }) {
      try {
        for await (const event of gateway.follow(execution)) say('follow', { text: event.event_type });
        say('followed');
      } catch (error) { say('unfollowed', told(error)); }
    },
    async subscribe({ path, source }) {
      try {
        for await (const event of gateway.subscribe(path, { source })) say('document', { text: event.op, id: event.doc_id });
        say('unsubscribed');
      } catch (error) { say('unsubscribed', told(error)); }
    },
    async frames({ name }) {
      try {
        for await (const frame of runs.get(name)) say('frame', { name, text: frame.method });
        say('end', { name });
      } catch (error) { say('end', { name, ...told(error) }); }
    },
    cancel({ name }) { runs.get(name).cancel().then(() => say('cancelled', { name }), (error) => say('uncancelled', told(error))); },
    listen() { gateway.on('frame', (frame) => say('any', { text: JSON.stringify(frame) })); },
    close() { gateway.close(); },
  };
  return (order) => { for (const [name, value] of Object.entries(order)) orders[name](value); };
}
