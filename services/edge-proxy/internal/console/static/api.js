import { isObject, parse } from './json.js';

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

const MEANINGS = {
  400: 'The request was not accepted.',
  401: 'The session is missing or has expired.',
  403: 'You do not have permission for this.',
  404: 'Not found.',
  409: 'There is no live event connection.',
  413: 'That is too large.',
  429: 'Too many requests; wait a moment.',
  502: 'NoETL cannot be reached.',
  503: 'The service is busy or not configured.',
  504: 'NoETL took too long to answer.',
};

/** The reason that the gateway gave, else what the status means. */
export function reasonOf(status, body) {
  if (isObject(body)) {
    const reason = body.error_description ?? body.error ?? body.message ?? body.reason;
    if (typeof reason === 'string' && reason) return reason;
  }
  return MEANINGS[status] ?? `Unexpected status ${status}.`;
}

export async function readBody(response) {
  const raw = await response.text();
  if (raw === '') return null;
  try {
    return parse(raw);
  } catch {
    return raw;
  }
}

/** fetch with a deadline and one sentence for a network failure. */
export async function send(url, options = {}, timeoutMs = 30000) {
  try {
    return await fetch(url, { cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(timeoutMs), ...options });
  } catch (cause) {
    const late = cause?.name === 'TimeoutError';
    throw new ApiError(`${new URL(url, location.href).origin} ${late ? 'did not answer in time' : 'cannot be reached'}.`, 0);
  }
}

export async function getJSON(url, options, timeoutMs) {
  const response = await send(url, options, timeoutMs);
  const body = await readBody(response);
  if (!response.ok) throw new ApiError(reasonOf(response.status, body), response.status);
  if (!isObject(body)) throw new ApiError(`${url} did not answer with JSON.`, response.status);
  return body;
}

export function postJSON(url, payload, token) {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  return getJSON(url, { method: 'POST', headers, body: JSON.stringify(payload) });
}

export async function logout(token) {
  const response = await send('/api/auth/logout', { method: 'POST', headers: { Authorization: `Bearer ${token}` } }, 10000);
  // A session that is gone already is what was asked for.
  if (!response.ok && response.status !== 401) throw new ApiError(reasonOf(response.status, await readBody(response)), response.status);
}
