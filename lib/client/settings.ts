import { ForebayClientError } from './client-error.js';
import type { ClientEvent } from './event-text.js';

/** What a client can be given. Numbers are whole. */
export interface ForebayClientOptions {
  /** Where events go: `https://events.example/events`. In a page it may be relative. */
  readonly url: string;
  /** Sent as `Authorization: Bearer KEY`. Default: none. */
  readonly key?: string | undefined;
  /** A request has at most this many events. Default 500. */
  readonly batchEvents?: number;
  /** A request has at most this many bytes, or one event. Default 524,288 (512 KiB). */
  readonly batchBytes?: number;
  /** An event waits at most this long for others to go with it, in milliseconds; 0: not at all. Default 100. */
  readonly waitMs?: number;
  /** The buffer is full at this many events. Default 10,000. */
  readonly bufferEvents?: number;
  /** The buffer is full at this many bytes; the event that reaches them is taken. Default 16,777,216 (16 MiB). */
  readonly bufferBytes?: number;
  /** A request without a whole answer is repeated after this time, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
  /** Gets each event whose promise is rejected, but not those that `stop` returns. What it throws is ignored. */
  readonly onRefused?: (event: ClientEvent, error: ForebayClientError) => void;
  /** Called when a request failed and is repeated in `waitMs` milliseconds. What it throws is ignored. */
  readonly onRetry?: (error: ForebayClientError, waitMs: number) => void;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

/** Options that were checked, with all defaults. */
export type Settings = Required<ForebayClientOptions>;

const DEFAULTS = Object.freeze({
  key: undefined,
  batchEvents: 500,
  batchBytes: 512 * 1024,
  waitMs: 100,
  bufferEvents: 10_000,
  bufferBytes: 16 * 1024 * 1024,
  timeoutMs: 30_000,
  onRefused: () => undefined,
  onRetry: () => undefined,
});
const LEAST = { batchEvents: 1, batchBytes: 1, waitMs: 0, bufferEvents: 1, bufferBytes: 1, timeoutMs: 1 };
/** Longer timers fire at once. */
const MOST = 2 ** 31 - 1;

/** @throws ForebayClientError `SETTING_INVALID` */
export function checked(options: ForebayClientOptions): Settings {
  const { fetch = globalThis.fetch } = options;
  // that of a browser takes no other `this`
  const settings: Settings = { ...DEFAULTS, ...options, fetch: async (...request) => fetch(...request) };
  for (const [name, least] of Object.entries(LEAST) as [keyof typeof LEAST, number][]) {
    if (!Number.isInteger(settings[name]) || settings[name] < least || settings[name] > MOST)
      throw new ForebayClientError('SETTING_INVALID', `${name} must be a whole number, at least ${least}`);
  }
  if (settings.key !== undefined && !/^[\x21-\x7e]+$/.test(settings.key))
    throw new ForebayClientError('SETTING_INVALID', 'key must be printable ASCII without spaces');
  if (!isAddress(settings.url))
    throw new ForebayClientError('SETTING_INVALID', 'url must be an http or https URL without a user');
  return settings;
}

function isAddress(url: string): boolean {
  try {
    return /^https?:/.test(new Request(url).url);
  } catch {
    return false;
  }
}
