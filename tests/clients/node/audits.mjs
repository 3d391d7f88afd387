// npm graphql-http: its audits of the GraphQL over HTTP specification, with a session.
import { serverAudits } from 'graphql-http';
import { TARGET, bearer, orders, say } from './lib.mjs';

orders();
const audits = serverAudits({ url: TARGET, fetchFn: (url, init = {}) => fetch(url, { ...init, headers: { ...init.headers, ...bearer() } }) });
for (const audit of audits) {
  let result;
  try {
    result = await audit.fn();
  } catch (err) {
    result = { id: audit.id, name: audit.name, status: 'fatal', reason: String(err) };
  }
  say('audit', { id: result.id, event: result.status, text: `${result.name}: ${result.reason ?? ''}`, code: result.response?.status ?? 0 });
}
say('done', { code: audits.length });
