export interface ErrorDetails {
  requestId?: string;
  executionId?: string;
  data?: unknown;
  /** How long the gateway asks to wait, in ms. */
  retryAfter?: number;
  cause?: unknown;
}

/** Any failure. `code` is the stable word of the gateway or of this library, `status` the HTTP status or 0. */
export class GatewayError extends Error {
  readonly code: string;
  readonly status: number;
  readonly requestId?: string;
  readonly executionId?: string;
  readonly data?: unknown;
  readonly retryAfter?: number;

  constructor(message: string, code: string, status = 0, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = status;
    const { cause: _, ...rest } = details;
    Object.assign(this, rest);
  }

  static { this.prototype.name = 'GatewayError'; }
}

/** The playbook failed, or was cancelled (code `cancelled`). */
export class RunFailedError extends GatewayError { static { this.prototype.name = 'RunFailedError'; } }
/** The user may not do this: 403. */
export class DeniedError extends GatewayError { static { this.prototype.name = 'DeniedError'; } }
/** There is no session, or it has ended: 401, session/expired. */
export class ExpiredError extends GatewayError { static { this.prototype.name = 'ExpiredError'; } }
/** The gateway or NoETL cannot be reached: 502, 503, 504, no network. */
export class UnavailableError extends GatewayError { static { this.prototype.name = 'UnavailableError'; } }
/** The time that the caller allowed is over. */
export class TimeoutError extends GatewayError { static { this.prototype.name = 'TimeoutError'; } }
