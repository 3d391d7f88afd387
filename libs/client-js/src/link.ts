import { Hub, type HubOptions, type ToHub, type ToTab } from './hub.js';

/** The way of a tab to the hub of its stream. */
export interface Link {
  send(m: ToHub): void;
  close(): void;
}

/** A hub of its own. */
export function ownLink(options: HubOptions, receive: (m: ToTab) => void): Link {
  const hub = new Hub(options);
  const peer = { post: receive };
  return { send: (m) => hub.receive(peer, m), close: () => hub.receive(peer, { t: 'bye' }) };
}
