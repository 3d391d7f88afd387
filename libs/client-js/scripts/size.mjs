// Prints how large the built library is, and fails when it is larger than it may be.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const LIMIT = 12 * 1024;
const size = gzipSync(readFileSync(new URL('../dist/gateway-client.js', import.meta.url)), { level: 9 }).length;
console.log(`gateway-client.js: ${size} bytes with gzip, ${LIMIT} at most`);
if (size > LIMIT) process.exitCode = 1;
