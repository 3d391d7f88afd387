// Makes dist/: the library as one minified file, its types as one file, and the React hook. It fails when the
// library is larger than it may be.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';
import './frames.mjs';

const root = new URL('../', import.meta.url);
const path = (name) => fileURLToPath(new URL(name, root));
const read = (name) => readFileSync(path(name), 'utf8');
const { version } = JSON.parse(read('package.json'));
// Tabs share a stream only with tabs that have the same code.
const code = createHash('sha256');
for (const name of readdirSync(path('src')).sort()) code.update(read(`src/${name}`));
const fingerprint = `${version} ${code.digest('hex').slice(0, 12)}`;

// Members that our own classes alone use. They get short names; in a message, in storage or in the types is none of them.
const INTERNAL = [
  'abandoned', 'bound', 'changed', 'closeSubscription', 'dropOldest', 'early', 'fetchLarge', 'heard', 'host',
  'ignoreFailure', 'isLast', 'lost', 'onEnd', 'onEvent', 'onRead', 'onRenewed', 'onRetry', 'onReturn', 'opening',
  'owners', 'parts', 'receive', 'refresh', 'rejoin', 'reopen', 'restart', 'ring', 'serves', 'settled', 'watches',
];

rmSync(path('dist'), { recursive: true, force: true });
rmSync(path('build'), { recursive: true, force: true });
mkdirSync(path('dist'));

const tsc = (project) => execFileSync(process.execPath, [path('node_modules/typescript/bin/tsc'), '-p', path(project)], { stdio: 'inherit' });
tsc('tsconfig.json');

const options = {
  bundle: true, format: 'esm', target: 'es2022', charset: 'utf8', logLevel: 'warning', legalComments: 'none',
  define: { VERSION: JSON.stringify(fingerprint) },
  // Constructors assign the fields anyway: their declarations would only cost bytes.
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
};
await build({
  ...options, entryPoints: [path('src/index.ts')], outfile: path('dist/gateway-client.js'), minify: true,
  mangleProps: new RegExp(`^(${INTERNAL.join('|')})$`),
});
// esbuild writes clear code and terser short code.
const { code: short } = await minify(read('dist/gateway-client.js'), { module: true, ecma: 2022, compress: { passes: 3 } });
writeFileSync(path('dist/gateway-client.js'), short + '\n');
// The unit tests import the modules one by one.
await build({
  ...options, bundle: false, outdir: path('build/src'), define: undefined,
  entryPoints: ['backoff', 'errors', 'feed', 'json', 'position', 'sse', 'store'].map((n) => path(`src/${n}.ts`)),
});

// One file of types: the modules whose names are public, without their imports of each other.
const modules = ['frames', 'errors', 'api'].map((name) => read(`build/types/${name}.d.ts`));
const connect = read('build/types/index.d.ts').match(/\/\*\*[^]*?\*\/\s*export declare function connect[^;]*;/)[0];
const types = [...modules, connect].map((text) => text.replace(/^import [^;]*;\n/gm, '').trim()).join('\n');
const exposed = INTERNAL.filter((name) => new RegExp(`\\b${name}\\??[:(]`).test(types));
if (exposed.length > 0) throw new Error(`members that are not internal: ${exposed.join(', ')}`);
writeFileSync(path('dist/gateway-client.d.ts'), `// @noetl/gateway-client ${version}\n${types}\n`);

await build({
  ...options, entryPoints: [path('react/react.ts')], outfile: path('dist/react.js'), minify: true,
  external: ['react', '@noetl/gateway-client'],
});
tsc('react/tsconfig.json');

await import('./size.mjs');
