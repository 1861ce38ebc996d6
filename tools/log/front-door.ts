import { text as textOf } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { asError } from '../../lib/base/errors.js';
import { post } from '../../lib/base/http-post.js';
import { retryAfterMs } from '../../lib/base/retry-after.js';
import { printable } from '../../lib/base/terminal-text.js';
import { call } from '../../lib/logs/file/file-system.js';
import { httpUrl, optional, text } from '../../lib/settings/checks.js';
import type { OptionTable } from '../../lib/settings/option-table.js';
import { invalid } from '../../lib/settings/setting-error.js';
import type { ToolFileSystem } from './tool-file-system.js';

/** A request holds at most this many bytes, besides its first event. */
const BODY_BYTES_MAX = 2 ** 20;
const BODY_EVENTS_MAX = 500;
/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 300_000;
/** A full server is asked at most this many times, each time after the wait that it names. */
const TRIES_MAX = 20;
/** The wait if the server names none, in milliseconds. */
const RETRY_AFTER_MS = 1000;
const RETRY_AFTER_MS_MAX = 60_000;
/** Answers about the events of this request: the server may take others. */
const REFUSALS: ReadonlySet<number> = new Set([400, 413, 422]);
/** At most this much of an answer is quoted, in characters. */
const QUOTED_MAX = 300;

/** Something with an event's own text. */
export interface WithEvent {
  readonly event: Buffer;
}

/** Nothing answers, so other events would fail as well. */
export class Unreachable extends Error {}

/** What became of events. */
export interface Outcome<T> {
  /** Stored, or known by their ids. */
  readonly taken: Set<T>;
  /** Each with the answer in words. */
  readonly refused: Map<T, string>;
  /** How many of those that were taken were not stored, as an id window knows them. */
  duplicates: number;
}

export interface FrontDoorOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** How often a server that is full is asked. */
  readonly triesMax?: number;
  /** Called before each wait for a full server. */
  readonly waits?: (waitMs: number, answer: string) => Promise<void>;
  /** Ends the wait for a full server, and sends no further request; one under way gets its answer. */
  readonly signal: AbortSignal;
}

/** Where events go, and with which key; of every tool that sends through a front door. */
export const FRONT_DOOR_SETTINGS = {
  url: {
    flag: 'url',
    initial: 'http://127.0.0.1:8081/events',
    unit: 'URL',
    help: 'where the server takes events that are sent again',
    check: httpUrl,
  },
  keyFile: {
    flag: 'key-file',
    initial: null,
    unit: 'FILE',
    help: 'a file with the key to send them with; without: that in the URL, if it has one',
    check: optional(text),
  },
} as const satisfies OptionTable;

/** Reads the key from its file; `null`: there is none. @throws ForebayError `SETTING_INVALID` */
export async function readKey(fs: ToolFileSystem, path: string | null): Promise<string | null> {
  if (path === null) return null;
  const key = await call<Buffer>((done) => {
    fs.readFile(path, done);
  }).then(
    (bytes) => bytes.toString('utf8').trim(),
    (error: unknown) => {
      throw invalid(`--key-file ${path} cannot be read: ${asError(error).message}`);
    },
  );
  if (!/^[!-~]+$/.test(key)) throw invalid(`--key-file ${path} must hold a key, and nothing else`);
  return key;
}

export function keyHeader(key: string | null): Readonly<Record<string, string>> {
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

/** The first events of many, as many as one request takes. */
export function nextBody<T extends WithEvent>(waiting: readonly T[]): T[] {
  const body: T[] = [];
  let bytes = 0;
  for (const each of waiting.slice(0, BODY_EVENTS_MAX)) {
    if (body.length > 0 && bytes + each.event.length > BODY_BYTES_MAX) break;
    body.push(each);
    bytes += each.event.length;
  }
  return body;
}

/** Whether this many events fill a request. */
export function fillBody(events: number, bytes: number): boolean {
  return events >= BODY_EVENTS_MAX || bytes >= BODY_BYTES_MAX;
}

/** Sends events to a running server, as any client does. */
export class FrontDoor {
  readonly #options: FrontDoorOptions;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
  }

  /**
   * Sends events in one request, or in as few as the server takes: a refused request is sent again in halves, so that a
   * refused event does not stop the others.
   *
   * @param outcome is kept up to date, also if this throws
   * @throws Unreachable; Error with the answer, if it is not about these events; `AbortError`
   */
  async send<T extends WithEvent>(body: readonly T[], outcome: Outcome<T>): Promise<void> {
    const parts = [body];
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const [first, ...others] = part;
      if (first === undefined) continue;
      this.#options.signal.throwIfAborted();
      const answer = await this.#sendPart(part);
      if (typeof answer === 'number') {
        for (const each of part) outcome.taken.add(each);
        outcome.duplicates += answer;
      } else if (others.length === 0) {
        outcome.refused.set(first, answer);
      } else {
        const middle = part.length >> 1;
        parts.push(part.slice(middle), part.slice(0, middle));
      }
    }
  }

  /** @returns how many were duplicates; the answer in words if it is about the events */
  async #sendPart(part: readonly WithEvent[]): Promise<number | string> {
    const { url, triesMax = TRIES_MAX, waits, signal } = this.#options;
    const body = Buffer.concat(part.flatMap(({ event }) => [event, Buffer.from('\n')]));
    for (let tries = 1; ; tries++) {
      const { status, waitMs, said } = await this.#post(body);
      if (status === 202) return duplicatesIn(said, part.length);
      const answer = `${url.origin}${url.pathname} answered ${status}: ${printable(said.trim().slice(0, QUOTED_MAX))}${status === 401 ? ' (--key-file)' : ''}`;
      if (REFUSALS.has(status)) return answer;
      const isBusy = status === 429 || status === 503;
      if (!isBusy || tries >= triesMax) throw new Error(answer);
      await waits?.(waitMs, answer);
      await sleep(waitMs, undefined, { signal });
    }
  }

  async #post(body: Buffer): Promise<{ status: number; waitMs: number; said: string }> {
    const { url } = this.#options;
    try {
      const headers = { 'content-type': 'application/x-ndjson', ...this.#options.headers };
      const { answer, sent } = await post({ url, headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
      const waitMs = Math.min(RETRY_AFTER_MS_MAX, retryAfterMs(answer.headers) ?? RETRY_AFTER_MS);
      const { statusCode: status = 0 } = answer;
      const said = await textOf(answer);
      if (status === 202) await sent;
      return { status, waitMs, said };
    } catch (error) {
      const what = `${url.origin}${url.pathname} does not answer (${asError(error).message})`;
      throw new Unreachable(`${what}: does a server run there?`, { cause: error });
    }
  }
}

/** The duplicates that a 202 names. */
function duplicatesIn(answer: string, events: number): number {
  try {
    const said = JSON.parse(answer) as { duplicates?: unknown; duplicate?: unknown };
    if (typeof said.duplicates === 'number') return said.duplicates;
    return said.duplicate === true ? events : 0;
  } catch {
    return 0;
  }
}
