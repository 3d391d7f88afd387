import { getJSON } from './api.js';
import { isObject, parse } from './json.js';

const FLOW_KEY = 'noetl.oidc';
const SCOPE = 'openid profile email';

const redirectUri = () => `${location.origin}/`;

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function challengeOf(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))));
}

/** Reads the claims only; the gateway is the one that verifies the signature. */
function claimsOf(idToken) {
  try {
    const part = String(idToken).split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const claims = parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
    if (isObject(claims)) return claims;
  } catch { /* falls through to the one message below */ }
  throw new Error('The identity provider sent an id token that cannot be read.');
}

async function discover(config) {
  const document = await getJSON(`${config.issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`, { credentials: 'omit' });
  if (!document.authorization_endpoint || !document.token_endpoint) {
    throw new Error('The identity provider does not name its authorization and token endpoints.');
  }
  return document;
}

/** Leaves the page for the issuer's. */
export async function begin(config) {
  if (!globalThis.crypto?.subtle) {
    throw new Error('Signing in needs a secure page. Open the console over https, or as http://localhost.');
  }
  const provider = await discover(config);
  const flow = { verifier: random(), state: random(), nonce: random() };
  const target = new URL(provider.authorization_endpoint);
  const parameters = {
    response_type: 'code',
    client_id: config.client_id,
    redirect_uri: redirectUri(),
    scope: SCOPE,
    state: flow.state,
    nonce: flow.nonce,
    code_challenge: await challengeOf(flow.verifier),
    code_challenge_method: 'S256',
  };
  if (config.audience) parameters.audience = config.audience;
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  sessionStorage.setItem(FLOW_KEY, JSON.stringify(flow));
  location.assign(target);
}

/** True when this load is the issuer's answer (`?code&state` or `?error`). */
export function isReturn() {
  const query = new URLSearchParams(location.search);
  return query.has('error') || (query.has('code') && query.has('state'));
}

/** Redeems the code of this load for an id token. The query is cleared first, so that a reload never redeems it twice. */
export async function finish(config) {
  const query = new URLSearchParams(location.search);
  history.replaceState(null, '', location.pathname);
  const stored = sessionStorage.getItem(FLOW_KEY);
  sessionStorage.removeItem(FLOW_KEY);
  const flow = stored ? JSON.parse(stored) : null;

  if (query.has('error')) {
    throw new Error(`Sign-in failed: ${query.get('error_description') || query.get('error')}`);
  }
  if (!flow || query.get('state') !== flow.state) {
    throw new Error('Sign-in failed: this answer does not belong to a sign-in started in this tab. Try again.');
  }
  const provider = await discover(config);
  const tokens = await getJSON(provider.token_endpoint, {
    method: 'POST',
    credentials: 'omit',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: query.get('code'),
      redirect_uri: redirectUri(),
      client_id: config.client_id,
      code_verifier: flow.verifier,
    }),
  });
  if (claimsOf(tokens.id_token).nonce !== flow.nonce) {
    throw new Error('Sign-in failed: the id token was not made for this sign-in (nonce).');
  }
  return tokens.id_token;
}
