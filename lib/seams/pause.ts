import { ForebayError } from '../base/errors.js';
import { printable } from '../base/terminal-text.js';

/** A pause of delivery: who asked for it, when and why. Plain data. */
export interface Pause {
  /** In milliseconds since 1970. */
  readonly sinceMs: number;
  readonly by: string;
  /** '': none was given. */
  readonly reason: string;
  /** When it ends by itself, in milliseconds since 1970; `null`: when someone resumes. */
  readonly untilMs: number | null;
}

/** What is asked for. */
export interface PauseRequest {
  readonly by?: string | undefined;
  readonly reason?: string | undefined;
  /** Ends the pause after this many milliseconds. */
  readonly forMs?: number | undefined;
}

/** What came of a request. */
export interface PauseOutcome {
  /** Whether it was otherwise before. */
  readonly changed: boolean;
  /** The pause, or the one that has ended; `null`: there was none. */
  readonly pause: Pause | null;
}

/** Where the pause is kept, so that it outlives the process. */
export interface PauseStore {
  /** Never rejects: a pause that cannot be read is one, as someone has asked for it. */
  read(): Promise<Pause | null>;
  /** Resolves once it is durable; `null`: delivery goes on. @throws the error that kept it from that */
  write(pause: Pause | null): Promise<void>;
  /** Set if others may change it: called with the pause whenever one has. */
  watch?(changed: (pause: Pause | null) => void): void;
}

/** A pause as people and programs read it: in its file, in `/health`, in answers. */
export interface PauseFacts {
  readonly paused: boolean;
  readonly since?: string;
  readonly by?: string;
  readonly reason?: string;
  readonly until?: string;
}

export const BY_LENGTH_MAX = 100;
const REASON_LENGTH_MAX = 500;
const FOR_MS_MIN = 1000;
const FOR_MS_MAX = 7 * 86_400_000;

/** @throws ForebayError `BAD_REQUEST` */
export function pauseOf({ by = '', reason = '', forMs }: PauseRequest, nowMs: number): Pause {
  if (forMs !== undefined && !(Number.isSafeInteger(forMs) && forMs >= FOR_MS_MIN && forMs <= FOR_MS_MAX))
    throw wrong('A pause ends by itself after 1 second to 7 days');
  return {
    sinceMs: nowMs,
    by: plainText('by', by, BY_LENGTH_MAX) || 'unknown',
    reason: plainText('reason', reason, REASON_LENGTH_MAX),
    untilMs: forMs === undefined ? null : nowMs + forMs,
  };
}

export function pauseFacts(pause: Pause | null): PauseFacts {
  if (pause === null) return { paused: false };
  const { sinceMs, by, reason, untilMs } = pause;
  return {
    paused: true,
    since: new Date(sinceMs).toISOString(),
    by,
    ...(reason !== '' && { reason }),
    ...(untilMs !== null && { until: new Date(untilMs).toISOString() }),
  };
}

/** `since 2026-12-01T09:00:00.000Z by ann@host: the database moves`. */
export function pauseWords(pause: Pause): string {
  const { since, by, reason, until } = pauseFacts(pause);
  const end = until === undefined ? '' : `, until ${until}`;
  return `since ${since} by ${by}${end}${reason === undefined ? '' : `: ${reason}`}`;
}

export function pauseText(pause: Pause): string {
  return `${JSON.stringify(pauseFacts(pause))}\n`;
}

/** @throws Error if it is no text of `pauseText` */
export function parsePause(text: string): Pause {
  const facts: unknown = JSON.parse(text);
  if (typeof facts !== 'object' || facts === null) throw new Error('it is no JSON object');
  const { since, by, reason = '', until } = facts as Readonly<Record<string, unknown>>;
  const [sinceMs, untilMs] = [since, until].map((time) =>
    typeof time === 'string' ? Date.parse(time) : NaN,
  );
  if (sinceMs === undefined || Number.isNaN(sinceMs)) throw new Error('"since" is no time');
  if (until !== undefined && Number.isNaN(untilMs)) throw new Error('"until" is no time');
  if (typeof by !== 'string' || typeof reason !== 'string') throw new Error('"by" or "reason" is no text');
  const texts = { by: printable(by), reason: printable(reason) };
  return { sinceMs, ...texts, untilMs: until === undefined ? null : (untilMs ?? null) };
}

/** What cannot be read counts as a pause: the sink may be in the middle of what it was asked for. */
export function unreadablePause(place: string, why: string, nowMs: number): Pause {
  return {
    sinceMs: nowMs,
    by: 'unknown',
    reason: printable(`${place} cannot be read: ${why}`),
    untilMs: null,
  };
}

function plainText(name: string, text: string, lengthMax: number): string {
  if (typeof text !== 'string' || text.length > lengthMax)
    throw wrong(`"${name}" must be a text of at most ${lengthMax} characters`);
  return printable(text.trim());
}

function wrong(message: string): ForebayError {
  return new ForebayError('BAD_REQUEST', { message });
}
