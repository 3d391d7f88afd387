// npm eventsource, used as a browser's EventSource: no header but its own, so the session is in the URL.
import { EventSource } from 'eventsource';
import { FRAMES, TARGET, orders, say } from './lib.mjs';

orders();
const source = new EventSource(TARGET, {
  fetch: (url, init) => {
    say('request', { id: init.headers['Last-Event-ID'] ?? '' });
    return fetch(url, init);
  },
});
source.addEventListener('open', () => say('open'));
source.addEventListener('error', (e) => say('error', { code: e.code ?? 0, text: e.message ?? '', closed: source.readyState === EventSource.CLOSED }));
for (const name of FRAMES) {
  source.addEventListener(name, (e) => say('event', { event: name, id: e.lastEventId, data: JSON.parse(e.data) }));
}
