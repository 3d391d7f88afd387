// What the scripts share: settings come by environment, orders as one JSON object per line of
// standard input, and what happens goes out as one JSON object per line. The Go tests judge it.
import { createInterface } from 'node:readline';

export const TARGET = need('TARGET');
export const TOKEN = process.env.TOKEN ?? '';

function need(name) {
  const value = process.env[name];
  if (!value) {
    process.stderr.write(`${name} is not set\n`);
    process.exit(2);
  }
  return value;
}

export const say = (kind, more = {}) => process.stdout.write(`${JSON.stringify({ kind, ...more })}\n`);

export const bearer = () => (TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {});

/**
 * Reads orders. A script lives as long as its standard input, and never longer than ten minutes:
 * a test may wait for its turn among others while its script runs.
 */
export function orders(handle = () => {}) {
  setTimeout(() => {
    process.stderr.write('the script was not told to end within ten minutes\n');
    process.exit(3);
  }, 600_000).unref();
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => handle(JSON.parse(line)));
  lines.on('close', () => process.exit(0));
}

/** The names of all frames (wire contract, section 5). */
export const FRAMES = ['message', 'ping', 'playbook/result', 'playbook/progress', 'playbook/state', 'subscription/event', 'gap', 'session/expired'];
