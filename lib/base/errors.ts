/**
 * All errors that Forebay shows to a client or an operator: code, HTTP status (`null` if it never reaches a client),
 * whether retrying can help, and message. `docs/errors.md` explains each; a test holds the two together.
 */
export const ERRORS = {
  BODY_NOT_UTF8: { status: 400, retry: false, message: 'The body is not valid UTF-8' },
  BODY_NOT_DECODED: { status: 400, retry: false, message: 'The body is not what its Content-Encoding says' },
  EVENT_NOT_JSON: { status: 400, retry: false, message: 'The event is not valid JSON' },
  EVENT_TOO_DEEP: { status: 400, retry: false, message: 'The event is nested too deep' },
  EVENT_NOT_OBJECT: { status: 400, retry: false, message: 'The event must be a JSON object' },
  EVENT_FIELD: { status: 400, retry: false, message: 'A field of the event is missing or of the wrong type' },
  IDEMPOTENCY_KEY: {
    status: 400,
    retry: false,
    message: 'Idempotency-Key must be a string of 1 to 255 printable characters, in quotes or without',
  },
  NO_EVENTS: { status: 400, retry: false, message: 'The request holds no event' },
  BAD_REQUEST: { status: 400, retry: false, message: 'The request is not valid HTTP' },
  TLS_REQUIRED: { status: 400, retry: false, message: 'This port takes TLS only: use https://' },
  SIGNATURE_WRONG: {
    status: 401,
    retry: false,
    message: 'The signature is missing or wrong, or its timestamp is too far from now',
  },
  KEY_MISSING: { status: 401, retry: false, message: 'A key is needed' },
  KEY_WRONG: { status: 401, retry: false, message: 'The key is not one of this server' },
  KEY_NOT_FOR_SOURCE: { status: 403, retry: false, message: 'The key may not send to this source' },
  CONTROL_CLOSED: {
    status: 403,
    retry: false,
    message: 'Delivery cannot be paused or resumed from here',
  },
  ORIGIN_NOT_ALLOWED: { status: 403, retry: false, message: 'A web page of this origin may not send events' },
  NOT_FOUND: { status: 404, retry: false, message: 'There is nothing at this path' },
  METHOD_NOT_ALLOWED: { status: 405, retry: false, message: 'This path does not take this method' },
  REQUEST_TIMEOUT: { status: 408, retry: true, message: 'The request took too long to arrive' },
  ID_CONFLICT: {
    status: 409,
    retry: false,
    message: 'The id is that of another event that came within --id-window',
  },
  BODY_TOO_LARGE: { status: 413, retry: false, message: 'The body is larger than --body-max' },
  EVENT_TOO_LARGE: { status: 413, retry: false, message: 'The event is larger than --event-max' },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    retry: false,
    message: 'The body must be application/json or application/x-ndjson in UTF-8',
  },
  EXPECTATION_FAILED: { status: 417, retry: false, message: 'Only Expect: 100-continue is understood' },
  HOST_NOT_SERVED: { status: 421, retry: false, message: 'The server does not answer for this host' },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    retry: false,
    message: 'This Idempotency-Key came with another body before',
  },
  QUEUE_FULL: { status: 429, retry: true, message: 'Queue full, please retry later' },
  // clients see it as QUEUE_FULL, which they know: see errorBody
  CONNECTIONS_MAX: { status: 429, retry: true, message: 'Queue full, please retry later' },
  BACKLOG_FULL: { status: 429, retry: true, message: 'Too much waits on disk, please retry later' },
  CLIENT_SHARE: { status: 429, retry: true, message: 'This client has its share, please retry later' },
  CLIENT_RATE: { status: 429, retry: true, message: 'This client comes too fast, please retry later' },
  HEADERS_TOO_LARGE: { status: 431, retry: false, message: 'The request headers are too large' },
  INTERNAL: { status: 500, retry: true, message: 'An unexpected error in the server' },
  HTTP_VERSION: { status: 505, retry: false, message: 'The server speaks HTTP/1.1 and HTTP/1.0' },
  LOG_FAILED: { status: 503, retry: true, message: 'The event could not be put on disk and was not taken' },
  IN_DOUBT: {
    status: 503,
    retry: true,
    message: 'The disk did not say whether it has the event: it may be delivered although this is an error',
  },
  LOG_DIR_LOST: {
    status: 503,
    retry: true,
    message: 'The log directory is not the one that was opened at start, or its lock is gone',
  },
  DRAINING: { status: 503, retry: true, message: 'The server is about to stop; it still takes events' },
  NOT_RUNNING: { status: 503, retry: true, message: 'The server is starting or stopping' },
  PAUSE_FAILED: { status: 503, retry: true, message: 'The pause could not be kept' },
  WORKER_SILENT: { status: 503, retry: true, message: 'A worker process does not answer' },
  ADMIN_PUBLIC: {
    status: null,
    retry: false,
    message: 'Page, metrics and health are open to anyone who reaches the port',
  },
  SOURCE_PUBLIC: { status: null, retry: false, message: 'Anyone who reaches the port may send' },
  KEYS_FILE_FAILED: { status: null, retry: true, message: 'The keys file cannot be read' },
  TLS_STALE: {
    status: null,
    retry: true,
    message: 'The certificate or its key has changed and cannot be used',
  },
  TLS_EXPIRES: { status: null, retry: false, message: 'The certificate expires soon, or has expired' },
  DELIVERY_PAUSED: { status: null, retry: false, message: 'Delivery is paused by an operator' },
  SINK_DOWN: { status: null, retry: true, message: 'The sink fails and is left alone' },
  SINK_MISCONFIGURED: { status: null, retry: true, message: 'The sink is set up wrongly' },
  SINK_SILENT: { status: null, retry: true, message: 'The sink does not answer' },
  SINK_FILE_FAILED: {
    status: null,
    retry: true,
    message: 'A file of the sink could not be opened again',
  },
  SINK_FILE_REPLACED: {
    status: null,
    retry: false,
    message: 'The file of the sink was moved, replaced or deleted by someone else',
  },
  SINK_DISCARDS: {
    status: null,
    retry: false,
    message: 'The sink keeps nothing, and the backlog was accepted for another one',
  },
  SINK_SIMULATED: { status: null, retry: false, message: 'The sink keeps nothing' },
  DELIVERY_FAILED: { status: null, retry: true, message: 'An attempt to deliver a batch failed' },
  EVENT_ISOLATED: { status: null, retry: true, message: 'The sink fails at an event while it takes others' },
  REPLAY_BEHIND: { status: null, retry: true, message: 'Replay goes on in the background' },
  DISK_FAILED: { status: null, retry: true, message: 'The log directory cannot be read or written' },
  BATCH_DAMAGED: { status: null, retry: false, message: 'A batch file is damaged' },
  BATCH_GONE: { status: null, retry: false, message: 'A batch file is gone' },
  BATCH_TORN: { status: null, retry: false, message: 'The end of a batch file was cut off by a crash' },
  ID_WINDOW_FAILED: { status: null, retry: true, message: 'The id window cannot be written or read' },
  ID_WINDOW_DAMAGED: { status: null, retry: false, message: 'A file of the id window is damaged' },
  ID_WINDOW_SHORT: { status: null, retry: false, message: 'Ids are kept for less than --id-window' },
  RETENTION_FAILED: {
    status: null,
    retry: true,
    message: 'A delivered batch could not be kept, or one that was kept could not be deleted',
  },
  RETENTION_SHORT: {
    status: null,
    retry: false,
    message: 'The disk has no room: retained files went before their time',
  },
  FOREIGN_FILE: { status: null, retry: false, message: 'There is a foreign file in the log directory' },
  DEAD_LETTERS: { status: null, retry: false, message: 'There are dead letters' },
  DEAD_LETTERS_FULL: { status: null, retry: true, message: 'The dead letters have reached their bound' },
  EVENTS_LEFT: {
    status: null,
    retry: false,
    message: 'A stop with --deliver-all has left something on disk',
  },
  STOP_TIMEOUT: { status: null, retry: false, message: 'The server did not stop in time' },
  SPANS_LOST: { status: null, retry: false, message: 'Spans did not get to the collector' },
  LOGGER_FAILED: { status: null, retry: false, message: 'Lines could not be logged' },
  WORKER_ENDED: { status: null, retry: true, message: 'A worker process ended, and is started again' },
  OPEN_FILES: { status: null, retry: false, message: 'Too few files may be open' },
  SETTING_INVALID: { status: null, retry: false, message: 'A setting is unknown or malformed' },
  SETTING_STALE: { status: null, retry: true, message: 'A file of a setting has changed and cannot be read' },
  LOG_SERVERS: { status: null, retry: true, message: 'The NATS servers of the log do not answer' },
  LOG_WEAK: {
    status: null,
    retry: false,
    message: 'The replicated log is set up so that it may lose events',
  },
  LOG_UNUSABLE: { status: null, retry: false, message: 'The replicated log cannot be used' },
  LOG_DIR_UNUSABLE: { status: null, retry: false, message: 'The log directory cannot be used' },
  LOG_DIR_LOCKED: { status: null, retry: false, message: 'Another server uses the log directory' },
  PORT_UNAVAILABLE: { status: null, retry: false, message: 'The server cannot listen on this address' },
  SINK_UNUSABLE: { status: null, retry: false, message: 'The sink cannot be used' },
} as const satisfies Record<string, { status: number | null; retry: boolean; message: string }>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetail {
  /** The message of this error, instead of the table's. */
  readonly message?: string;
  /** The field of the event that is wrong. */
  readonly field?: string;
  /** Where the input is wrong: an index into the text, in UTF-16 code units (bytes for `BODY_NOT_UTF8`). */
  readonly position?: number;
  /** The line of the body that is wrong, from 1. */
  readonly line?: number;
  /** The index of the element that is wrong, from 0. */
  readonly index?: number;
  /** How long to wait before a retry, in milliseconds. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** An error with a code of the table above. */
export class ForebayError extends Error {
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly position: number | undefined;
  readonly line: number | undefined;
  readonly index: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, detail: ErrorDetail = {}) {
    super(detail.message ?? ERRORS[code].message, { cause: detail.cause });
    this.name = 'ForebayError';
    this.code = code;
    this.field = detail.field;
    this.position = detail.position;
    this.line = detail.line;
    this.index = detail.index;
    this.retryAfterMs = detail.retryAfterMs;
  }

  /** The HTTP status; `null` for an error that never reaches a client. */
  get status(): number | null {
    return ERRORS[this.code].status;
  }

  /** Whether a retry can help. */
  get retry(): boolean {
    return ERRORS[this.code].retry;
  }
}

/** The thrown value as an `Error` with a message. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown.message === '' ? withWords(thrown) : thrown;
  try {
    return new Error(String(thrown));
  } catch {
    return new Error(`no error and no text was thrown, but ${typeof thrown}`);
  }
}

/** If a name is refused at each of its addresses, Node.js gives no message: each address has its own error. */
function withWords(error: Error): Error {
  const all = error instanceof AggregateError ? error.errors.map((each) => asError(each).message) : [];
  const code = systemCode(error);
  const words = new Error([...new Set(all)].join('; ') || (code ?? error.name), { cause: error });
  return code === undefined ? words : Object.assign(words, { code });
}

/** The system's code of an error (`ENOSPC`, `EADDRINUSE`), if it has one. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
