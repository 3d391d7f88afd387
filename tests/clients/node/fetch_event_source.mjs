// npm @microsoft/fetch-event-source by the pattern of its README: what cannot be repaired is
// thrown from onopen and again from onerror, everything else is tried again.
import { FRAMES, TARGET, bearer, orders, say } from './lib.mjs';

// It is made for browsers; these are all that it touches outside fetch.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { EventStreamContentType, fetchEventSource } = await import('@microsoft/fetch-event-source');

class Fatal extends Error {}

orders();
fetchEventSource(TARGET, {
  headers: bearer(),
  openWhenHidden: true,
  fetch: (url, init) => {
    say('request', { id: init.headers['last-event-id'] ?? '' });
    return fetch(url, init);
  },
  async onopen(response) {
    if (response.ok && response.headers.get('content-type')?.startsWith(EventStreamContentType)) {
      say('open');
      return;
    }
    const fatal = response.status >= 400 && response.status < 500 && response.status !== 429;
    say('error', { code: response.status, closed: fatal });
    throw fatal ? new Fatal(String(response.status)) : new Error(String(response.status));
  },
  onmessage(m) {
    if (FRAMES.includes(m.event)) say('event', { event: m.event, id: m.id, data: JSON.parse(m.data) });
    else say('error', { text: `no such frame: ${JSON.stringify(m)}` });
  },
  onclose() {
    throw new Error('the server closed the stream');
  },
  onerror(err) {
    if (err instanceof Fatal) throw err;
    say('again', { text: String(err) });
    return 100;
  },
}).then(
  () => say('done'),
  (err) => say('failed', { text: String(err) }),
);
