// Execution ids are 64-bit; a plain JSON.parse rounds them when they come as numbers. Where the
// browser lets us see the source text, such integers are kept as raw JSON and print unchanged.
const INTEGER = /^-?\d+$/;

export function parse(text) {
  return JSON.parse(text, (_key, value, context) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && context && JSON.rawJSON && INTEGER.test(context.source)
      ? JSON.rawJSON(context.source)
      : value);
}

/** What a person wrote: its value, or the error that it has. */
export function read(source) {
  try {
    return { value: parse(source) };
  } catch (cause) {
    return { error: `This is not valid JSON: ${cause.message}` };
  }
}

export function pretty(value) {
  return JSON.stringify(value, null, 2) ?? '';
}

/** An id or a label as text, whatever JSON type it arrived as; '' when absent. */
export function text(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return value.rawJSON ?? JSON.stringify(value);
  return String(value);
}

export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && value.rawJSON === undefined;
}

/** The body of an answer: JSON, else its text; null when there is none. */
export async function bodyOf(response) {
  const raw = await response.text();
  if (raw === '') return null;
  try {
    return parse(raw);
  } catch {
    return raw;
  }
}
