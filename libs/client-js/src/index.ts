import type { ConnectOptions, Gateway } from './api.js';
import { GatewayError } from './errors.js';
import { Client } from './gateway.js';
import { Http, Session, userOf } from './http.js';
import { serve } from './link.js';
import { Store } from './store.js';
import { socketsOf } from './stream.js';

export type * from './api.js';
export type * from './frames.js';
export { DeniedError, ExpiredError, GatewayError, RunFailedError, TimeoutError, UnavailableError } from './errors.js';

function addressOf(url: ConnectOptions['url']): string {
  const own = [import.meta.url, globalThis.location?.href].find((u) => u?.startsWith('http'));
  const base = url ?? (own && new URL(own).origin);
  if (!base) throw new GatewayError('url is missing: the address of the gateway', 'no_url');
  const { href, protocol, username, password } = new URL(base, globalThis.location?.href);
  if (!/^https?:/.test(protocol) || username || password) { // fetch would write a password into the message of an error
    throw new GatewayError('url must be http or https, without a user', 'bad_url');
  }
  return href.replace(/[?#].*$/, '').replace(/\/+$/, '');
}

/** Opens the event stream of a gateway. */
export function connect(options: ConnectOptions = {}): Gateway {
  const base = addressOf(options.url);
  const transport = options.transport ?? 'auto';
  if (transport === 'websocket' && !socketsOf(options.WebSocket)) {
    throw new GatewayError('there is no WebSocket here: pass one', 'no_websocket');
  }
  const session = new Session(options, (token) => userOf(base, credentials, token));
  const foreign = new URL(base).origin !== globalThis.location?.origin;
  const credentials: RequestCredentials = !session.cookie ? 'omit' : foreign ? 'include' : 'same-origin';
  return new Client({
    base, transport, session,
    http: new Http(base, session, credentials, options.timeout ?? 30_000),
    store: new Store(base, options.storage),
    share: options.share ?? true,
    socket: options.WebSocket,
  });
}

serve(); // when this module is the script of a SharedWorker
