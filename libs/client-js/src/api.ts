import type { Capabilities, DocumentEvent, Frame, Gap, PendingRequest, PlaybookState, Progress, Result } from './frames.js';
import type { GatewayError } from './errors.js';

export interface ConnectOptions {
  /** Address of the gateway. Default: the origin that served this module, else the page's. */
  url?: string | URL;
  /** A session token. */
  session?: string;
  /** Gives the session token; called again with `expired` to renew it. null: there is none. */
  getSession?: (why: 'start' | 'expired') => string | null | Promise<string | null>;
  /** Use the cookie of the browser login. The default when neither of the above is given. */
  cookie?: boolean;
  /** With the cookie: called when the session has expired; true: it was renewed, try again. */
  renew?: () => boolean | void | Promise<boolean | void>;
  /** auto: server-sent events, and WebSocket where they are blocked. Default: auto. */
  transport?: 'auto' | 'sse' | 'websocket';
  /** One stream for all tabs of the origin. Default: true where the browser can. */
  share?: boolean;
  /** Where the place in the stream and unfinished runs are kept. Default: sessionStorage. null: nowhere. */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null;
  /** For one HTTP call, in ms. Default: 30000. */
  timeout?: number;
  /** For environments without a global WebSocket. */
  WebSocket?: new (url: string) => WebSocket;
}

export type State = 'connecting' | 'live' | 'reconnecting' | 'offline' | 'expired' | 'closed';

export interface RunOptions {
  /** Cancels the execution; the run rejects with the signal's reason. */
  signal?: AbortSignal;
  onProgress?(progress: Progress): void;
  onState?(state: PlaybookState): void;
  /** For the whole run, in ms; then TimeoutError, and the execution is cancelled. Default: none. */
  timeout?: number;
  kind?: 'playbook' | 'agent';
  /** A UUID. Default: a random one. */
  requestId?: string;
}

/** The promise of a result, and an iterator over the frames of the run. */
export interface Run<T = unknown> extends Promise<T>, AsyncIterable<Frame> {
  readonly requestId: string;
  /** Path of the playbook; empty for a rerun. */
  readonly playbook: string;
  /** The execution id, once it is known. */
  readonly started: Promise<string>;
  readonly executionId: string | null;
  cancel(): Promise<void>;
}

export interface Subscription<E> extends AsyncIterable<E> {
  readonly id: Promise<string>;
  close(): Promise<void>;
}

/** Changes are gone: forget what you know of the path; an `added` for each document follows. */
export interface DocumentReset { subscription_id: string; doc_id: ''; op: 'reset'; data: null }

/** GraphQL's Execution. */
export interface Execution {
  executionId: string;
  /** RUNNING, COMPLETED, FAILED, CANCELLED, or another word of the server. */
  status: string | null;
  name: string | null;
  path: string | null;
  /** It is over and has not failed; a cancelled one, too. */
  completed: boolean | null;
  failed: boolean | null;
  result: unknown;
  error: unknown;
}

export interface Events {
  state: State;
  /** Any frame but ping, also of other tabs' runs when the stream is shared. */
  frame: Frame;
  /** The unfinished requests that the gateway knows of, after each connection. */
  pending: PendingRequest[];
  /** Frames are gone for good. The library asks for the state of its runs by itself. */
  gap: Gap;
  expired: undefined;
  progress: Progress;
  playbook: PlaybookState;
  result: Result;
  /** A run failed, or the stream cannot be opened. */
  error: GatewayError;
}

export interface Gateway {
  readonly state: State;
  readonly clientId: string | null;
  readonly capabilities: Capabilities | null;
  /** The first frame has come. */
  readonly ready: Promise<void>;
  /** Unfinished runs of this tab from before a reload; complete when `ready` resolves. */
  readonly resumed: readonly Run[];
  run<T = unknown>(playbook: string, variables?: Record<string, unknown>, options?: RunOptions): Run<T>;
  rerun<T = unknown>(executionId: string, variables?: Record<string, unknown>, options?: RunOptions): Run<T>;
  cancel(executionId: string, options?: { reason?: string; cascade?: boolean }): Promise<void>;
  /** null: there is none of that id. */
  execution(id: string): Promise<Execution | null>;
  /** The events of an execution from its beginning, however it was started; ends with it. */
  follow(executionId: string, options?: { signal?: AbortSignal }): Subscription<PlaybookState>;
  /** First an `added` for each document, then each change. After a gap: a `reset`, and again from the beginning. */
  subscribe(path: string, options?: { source?: 'firestore' | 'kv'; signal?: AbortSignal }): Subscription<DocumentEvent | DocumentReset>;
  /** Returns a function that ends it. */
  on<K extends keyof Events>(event: K, handler: (value: Events[K]) => void): () => void;
  /** fetch with the session, below the gateway's address; errors become GatewayErrors. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Ends the stream and all that waits, and forgets what was stored. */
  close(): void;
}
