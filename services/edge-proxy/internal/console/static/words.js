import { isObject, text } from './json.js';

const TERMINAL = new Set(['completed', 'failed', 'cancelled']);
const SYNONYMS = {
  complete: 'completed', success: 'completed', succeeded: 'completed', done: 'completed', ok: 'completed',
  error: 'failed', failure: 'failed', timeout: 'failed', canceled: 'cancelled',
};

export const LABELS = {
  starting: 'Starting', running: 'Running', cancelling: 'Cancelling', completed: 'Completed', failed: 'Failed', cancelled: 'Cancelled',
};

/** The end that a status word stands for, or '' while there is none. */
export function endOf(status) {
  const word = text(status).toLowerCase();
  const known = SYNONYMS[word] ?? word;
  return TERMINAL.has(known) ? known : '';
}

/** An error of the library as a sentence: for people its code says nothing. */
export function sentence(cause) {
  const words = text(cause?.message ?? cause).trim();
  if (!words) return 'Something went wrong.';
  const first = /^[a-z]+(?=\s)/.test(words) ? words.charAt(0).toUpperCase() : words.charAt(0); // a path stays as it is
  return first + words.slice(1) + (/[.!?…]$/.test(words) ? '' : '.');
}

/** What a worker said went wrong: a text, or an object with one inside. */
export function failureText(error) {
  if (!isObject(error)) return text(error);
  return text(error.message ?? error.error ?? error.detail ?? error.reason);
}

export function durationText(ms) {
  if (!(ms >= 0)) return '';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
