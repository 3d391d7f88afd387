import type { ConnectOptions } from './api.js';
import { DeniedError, ExpiredError, GatewayError, UnavailableError, type ErrorDetails } from './errors.js';
import { parse } from './json.js';

/** The error of a status of the contract. */
export function errorOf(status: number, code: string, message: string, details?: ErrorDetails): GatewayError {
  const kind = status === 401 ? ExpiredError
    : status === 403 ? DeniedError
      : status === 0 || (status >= 502 && status <= 504) ? UnavailableError
        : GatewayError;
  return new kind(message, code, status, details);
}

export const unreachable = (cause: unknown) => new UnavailableError('the gateway cannot be reached', 'network', 0, { cause });
/** RFC 6750, section 2.1. Node would write a token with any other character into the message of an error. */
const isToken = (token: unknown) => typeof token === 'string' && /^[\w.~+/=-]+$/.test(token);

export function noSession(): ExpiredError {
  return new ExpiredError('there is no session, or it has ended', 'session_expired', 401);
}

const ME_MS = 15_000; // the gateway itself waits up to 10 s for a part that restarts
const LONGEST_S = 300; // nothing that a server says makes a client wait for longer

/** What Retry-After asks for in ms: seconds or a date (RFC 9110, section 10.2.3). */
export function retryAfter(value: any): number | undefined {
  const seconds = Number(value) || (Date.parse(value) - Date.now()) / 1000;
  return seconds > 0 ? Math.min(seconds, LONGEST_S) * 1000 : undefined;
}

/** Whose session it is. Rejects with ExpiredError when there is none. */
export async function userOf(base: string, credentials: RequestCredentials, token: string | null): Promise<string> {
  const response = await fetch(`${base}/api/me`, {
    credentials, cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(ME_MS),
    headers: token ? { Authorization: `Bearer ${token}` } : {},
  });
  if (!response.ok) throw await errorOfResponse(response);
  const { user_id, email } = parse(await response.text()).user;
  return `${user_id} ${email}`;
}

export async function errorOfResponse(response: Response): Promise<GatewayError> {
  let body: any = null;
  try {
    body = parse(await response.text());
  } catch { /* the status says enough */ }
  const said = body?.errors?.[0] ?? body; // GraphQL's, or any other route's
  const code = [said?.extensions?.reason, said?.extensions?.code, said?.code].find((c) => typeof c === 'string');
  const text = [said?.error, said?.message].find((t) => typeof t === 'string');
  return errorOf(response.status, code ?? `http_${response.status}`, text ?? `the gateway answered ${response.status}`, {
    data: body, retryAfter: retryAfter(response.headers.get('Retry-After')),
  });
}

/** The session of this tab. The token is in memory only. */
export class Session {
  token: string | null = null;
  /** In a browser: whose it was when the tab was opened. Another user's is no session of this tab. */
  user?: string;
  /** Told of each token after the first. */
  onRenewed: (token: string | null) => void = () => {};
  readonly cookie: boolean;
  readonly #options: ConnectOptions;
  #started: Promise<void> | null = null;
  #renewing: Promise<boolean> | null = null;

  constructor(options: ConnectOptions, readonly who: (token: string | null) => Promise<string>) {
    this.#options = options;
    this.cookie = options.cookie ?? (options.session === undefined && !options.getSession);
    if (!this.cookie) this.token = options.session ?? null;
  }

  /** Gets the token for the first time; rejects with ExpiredError when there is none. */
  async get(): Promise<string | null> {
    if (this.cookie) return null;
    if (this.token === null && this.#options.getSession) {
      await (this.#started ??= (async () => { this.token ??= await this.#options.getSession!('start'); })());
    }
    if (!isToken(this.token)) throw noSession();
    return this.token;
  }

  /** Renews a session that the gateway refuses. False: there is no other. */
  renew(dead: string | null): Promise<boolean> {
    if (this.token !== dead) return Promise.resolve(this.token !== null);
    return this.#renewing ??= this.#renew(dead).catch(() => false).finally(() => { this.#renewing = null; });
  }

  async #renew(dead: string | null): Promise<boolean> {
    let token: string | null = null;
    if (this.cookie) {
      if (await this.#options.renew?.() !== true) return false;
    } else {
      token = await this.#options.getSession?.('expired') ?? null;
      if (token === dead || !isToken(token)) return false;
    }
    if (this.user && await this.who(token) !== this.user) return false;
    this.token = token;
    this.onRenewed(token);
    return true;
  }
}

const STATUS: Record<string, number> = {
  __proto__: null as never, // a code may be constructor
  BAD_USER_INPUT: 400, GRAPHQL_PARSE_FAILED: 400, GRAPHQL_VALIDATION_FAILED: 400, UNAUTHENTICATED: 401, FORBIDDEN: 403,
  NOT_FOUND: 404, TOO_SLOW: 408, CONFLICT: 409, TOO_LARGE: 413, UNSUPPORTED: 415, RATE_LIMITED: 429, CANCELED: 499,
  INTERNAL: 500, BAD_GATEWAY: 502, UNAVAILABLE: 503, TIMEOUT: 504,
};

/**
 * Calls of the gateway with the session. Redirects are followed only for whoever calls fetch: another host would get
 * the variables of a run, and be believed.
 */
export class Http {
  constructor(
    readonly base: string,
    readonly session: Session,
    readonly credentials: RequestCredentials,
    readonly timeout: number,
  ) {}

  /** The answer's head within the timeout; its body takes what it takes. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return this.#call(path, { redirect: 'follow', ...init }, (response) => Promise.resolve(response));
  }

  /** The whole answer as JSON within the timeout; null for an empty one. */
  json(path: string, method = 'GET', body?: unknown, more: RequestInit = {}): Promise<any> {
    const init = {
      ...more, method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    };
    return this.#call(path, init, async (response) => {
      const text = await response.text();
      return text === '' ? null : parse(text);
    });
  }

  /** A large answer as JSON: only its head is bounded in time. */
  async large(path: string): Promise<any> {
    const response = await this.#call(path, {}, (r) => Promise.resolve(r));
    try {
      return parse(await response.text());
    } catch (cause) {
      throw new UnavailableError('the answer was cut off', 'network', 0, { cause });
    }
  }

  async graphql(query: string, variables: Record<string, unknown>): Promise<any> {
    for (let renewed = false; ; renewed = true) {
      const token = this.session.token;
      const answer = await this.json('/graphql', 'POST', { query, variables });
      const error = answer?.errors?.[0];
      if (!error) {
        if (answer?.data) return answer.data;
        throw new UnavailableError('this is no GraphQL', 'bad_answer', 502);
      }
      const { code, reason, retryAfter: seconds } = error.extensions ?? {};
      const status = STATUS[code] ?? 500;
      if (status === 401 && !renewed && await this.session.renew(token)) continue;
      throw errorOf(status, reason ?? code ?? 'graphql', error.message, {
        data: error.extensions, retryAfter: retryAfter(seconds),
      });
    }
  }

  async #call<T>(path: string, init: RequestInit, read: (response: Response) => Promise<T>): Promise<T> {
    // A session never goes to an address that somebody else chose.
    if (path[0] !== '/') throw new TypeError(`not a path of the gateway: ${path}`);
    for (let renewed = false; ; renewed = true) {
      const token = await this.session.get();
      const headers = new Headers(init.headers);
      if (token) headers.set('Authorization', `Bearer ${token}`);
      const abort = new AbortController();
      let late = false;
      const timer = setTimeout(() => { late = true; abort.abort(); }, this.timeout);
      try {
        const response = await fetch(this.base + path, {
          cache: 'no-store', redirect: 'error', ...init, headers, credentials: this.credentials,
          signal: init.signal ? AbortSignal.any([init.signal, abort.signal]) : abort.signal,
        });
        if (response.ok) return await read(response);
        const error = await errorOfResponse(response);
        if (response.status !== 401 || renewed || !await this.session.renew(token)) throw error;
      } catch (cause) {
        if (cause instanceof GatewayError) throw cause;
        if (init.signal?.aborted) throw init.signal.reason;
        throw late ? new UnavailableError('the gateway did not answer in time', 'timeout', 0, { cause }) : unreachable(cause);
      } finally {
        clearTimeout(timer);
      }
    }
  }
}
