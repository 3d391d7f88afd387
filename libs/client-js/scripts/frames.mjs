// Makes src/frames.ts, the types of what a stream carries, from the gateway's description of its messages.
import { readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';

const ROOT = new URL('../../../', import.meta.url);
const { schemas } = parse(readFileSync(new URL('docs/api/asyncapi.yaml', ROOT), 'utf8')).components;

const doc = (schema) => (schema?.description ? `/** ${schema.description.replaceAll('*/', '* /').trim()} */ ` : '');
const union = (types) => [...new Set(types)].join(' | ') || 'never';
const key = (name) => (/^\w+$/.test(name) ? name : JSON.stringify(name));

/** The TypeScript type of a schema, with what $ref names written out. */
function type(schema) {
  if (schema === undefined || schema === true) return 'unknown';
  if (schema.$ref) return type(schemas[schema.$ref.split('/').pop()]);
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return union(schema.enum.map((v) => JSON.stringify(v)));
  if (schema.anyOf ?? schema.oneOf) return union((schema.anyOf ?? schema.oneOf).map(type));
  if (Array.isArray(schema.type)) return union(schema.type.map((t) => type({ ...schema, type: t })));
  switch (schema.type) {
    case 'string': case 'boolean': case 'null': return schema.type;
    case 'integer': case 'number': return 'number';
    case 'array': return `Array<${type(schema.items)}>`;
    case 'object': return object(schema);
    default: return 'unknown';
  }
}

function object(schema) {
  const entries = Object.entries(schema.properties ?? {}).filter(([name]) => name !== '_meta');
  if (entries.length === 0) return 'Record<string, unknown>';
  const required = new Set(schema.required ?? []);
  return `{ ${entries.map(([name, s]) => `${doc(s)}${key(name)}${required.has(name) ? '' : '?'}: ${type(s)};`).join(' ')} }`;
}

const NAMES = {
  playbook_result: 'Result', playbook_progress: 'Progress', playbook_state: 'PlaybookState',
  subscription_event: 'DocumentEvent', subscription_ended: 'SubscriptionEnded', gap: 'Gap', session_expired: 'SessionExpired',
  connection_closed: 'ConnectionClosed',
};

const frames = Object.keys(schemas).filter((name) => name.startsWith('Frame_')).map((name) => name.slice('Frame_'.length));
const methods = frames.filter((name) => schemas[`Frame_${name}`].properties.method && name !== 'ping');
const unnamed = methods.filter((name) => !NAMES[name]);
if (unnamed.length > 0) throw new Error(`frames without a name in scripts/frames.mjs: ${unnamed.join(', ')}`);

const lines = ['// Made by scripts/frames.mjs from docs/api/asyncapi.yaml.', ''];
const init = schemas.InitResult.properties;
lines.push(`export type Capabilities = ${type(init.capabilities)};`);
lines.push(`export type PendingRequest = ${type(schemas.PendingRequest)};`);
lines.push('/** The first frame of a stream. */', `export type First = ${type(schemas.InitResult)};`);
for (const name of methods) {
  lines.push(`/** The params of \`${schemas[`Frame_${name}`].properties.method.const}\`. */`);
  lines.push(`export type ${NAMES[name]} = ${type(schemas[`Frame_${name}`].properties.params)};`);
}
lines.push('/** What a stream carries after its first frame. */', 'export type Frame =');
for (const name of methods) {
  lines.push(`  | { method: ${JSON.stringify(schemas[`Frame_${name}`].properties.method.const)}; params: ${NAMES[name]} }`);
}
lines[lines.length - 1] += ';';
writeFileSync(new URL('../src/frames.ts', import.meta.url), `${lines.join('\n')}\n`);
