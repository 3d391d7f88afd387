// The driver in Node: orders are lines of standard input, and so is what happens on standard output. It lives as long
// as its standard input, and never longer than ten minutes.
import { createInterface } from 'node:readline';
import { drive } from './driver.mjs';

const say = (kind, more = {}) => process.stdout.write(`${JSON.stringify({ kind, ...more })}\n`);
setTimeout(() => {
  process.stderr.write('the driver was not told to end within ten minutes\n');
  process.exit(3);
}, 600_000).unref();
process.on('unhandledRejection', (error) => say('unhandled', { text: String(error) }));
const order = drive(await import(process.env.LIBRARY), say);
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => order(JSON.parse(line)));
lines.on('close', () => process.exit(0));
