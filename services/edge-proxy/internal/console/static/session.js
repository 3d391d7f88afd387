import { bodyOf, isObject, text } from './json.js';
import { sentence } from './words.js';

const LOGIN = '/api/auth/browser/login?return_to=/';

async function ask(url, options = {}) {
  try {
    return await fetch(url, { cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(30000), ...options });
  } catch {
    throw new Error('The gateway cannot be reached.');
  }
}

function reason(response, body) {
  return new Error(sentence((isObject(body) && text(body.error)) || `The gateway answered ${response.status}.`));
}

export async function getJSON(url) {
  const response = await ask(url);
  if (!response.ok) throw reason(response, await bodyOf(response));
  return bodyOf(response);
}

/** Who is signed in, as GET /api/me answers, or null. The cookie is the session, so that every tab has it. */
export async function whoAmI() {
  const response = await ask('/api/me');
  if (response.status === 401) return null;
  if (!response.ok) throw reason(response, await bodyOf(response));
  return bodyOf(response);
}

/**
 * Goes to the identity provider. It throws what hinders that: a gateway without the browser login answers without a
 * redirect.
 */
export async function signIn() {
  // A browser keeps the cookie of the login, which is Secure, only here.
  if (!isSecureContext) throw new Error('Signing in needs https, or http://localhost: open this page there.');
  const response = await ask(LOGIN, { redirect: 'manual', headers: { Accept: 'application/json' } });
  if (response.type !== 'opaqueredirect') {
    const body = await bodyOf(response);
    if (isObject(body) && body.code === 'browser_login_off') {
      throw new Error('This gateway has no browser login: whoever runs it must set AUTH_CLIENT_ID, and then people can sign in here.');
    }
    throw reason(response, body);
  }
  location.assign(LOGIN);
}

/** Ends the session for every tab. */
export async function signOut() {
  const response = await ask('/api/auth/logout', { method: 'POST' });
  // A session that is gone already is what was asked for.
  if (!response.ok && response.status !== 401) throw reason(response, await bodyOf(response));
}
