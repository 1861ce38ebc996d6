import { ForebayClientError } from './client-error.js';

/** Each event of the request is accepted, or refused for good: by its place, from 0. */
export interface Settled {
  readonly kind: 'settled';
  readonly duplicates: number;
  readonly refused: ReadonlyMap<number, ForebayClientError>;
}

/** None was taken, because of some of them. `isNamed`: the answer is about one of them. */
export interface Divide {
  readonly kind: 'divide';
  readonly isNamed: boolean;
}

/** The events must come again. `waitMs`: as the answer asks. `isSetup`: someone has to mend a setting first. */
export interface Repeat {
  readonly kind: 'repeat';
  readonly error: ForebayClientError;
  readonly waitMs: number | null;
  readonly isSetup: boolean;
}

type Members = Readonly<Record<string, unknown>>;

/** A longer `Retry-After` counts as this. */
const RETRY_AFTER_MS_MAX = 5 * 60_000;
/** Statuses from 400 to 499 that pass by themselves. */
const PASSING = [408, 425, 429];

/**
 * What an answer means for the events of its request.
 *
 * @param text its body, empty if it is not JSON
 * @param events of the request
 */
export function verdictOf(
  { status, headers }: Response,
  text: string,
  events: number,
  nowMs: number,
): Settled | Divide | Repeat {
  const said = membersIn(text);
  const refused = refusedOf(said, status, events);
  if (refused !== null) {
    const { duplicates } = said;
    return { kind: 'settled', duplicates: typeof duplicates === 'number' ? duplicates : 0, refused };
  }
  const error = errorOf(said, status);
  // a conflict of ids has no line, and no index either if the event is alone
  const isConflict = status === 409 && error.code === 'ID_CONFLICT';
  const isNamed = isConflict || (typeof said['line'] === 'number' && [400, 413].includes(status));
  if ((isNamed || status === 413) && events > 1) return { kind: 'divide', isNamed };
  if (isNamed || status === 413) return { kind: 'settled', duplicates: 0, refused: new Map([[0, error]]) };
  const isSetup = status >= 400 && status < 500 && !PASSING.includes(status);
  return { kind: 'repeat', error, waitMs: retryAfterMs(headers, nowMs), isSetup };
}

/** The members of a JSON object; none if the text is not one. */
function membersIn(text: string): Members {
  try {
    return { ...(JSON.parse(text) as object) };
  } catch {
    return {};
  }
}

/** The refused events, by their place; `null` if this is not Forebay's answer about each event. */
function refusedOf(said: Members, status: number, events: number): Map<number, ForebayClientError> | null {
  const { status: word, refused = [], refusedMore = 0 } = said;
  const areSome = status === 202 && word === 'accepted';
  if (!areSome && !(status === 400 && word === 'refused')) return null;
  // a lenient request has no more events than an answer lists
  if (!Array.isArray(refused) || refusedMore !== 0) return null;
  const found = new Map<number, ForebayClientError>();
  for (const each of refused as readonly (Members | null)[])
    found.set(Number(each?.['line']) - 1, errorOf({ ...each }, status));
  const areInside = [...found.keys()].every(
    (index) => Number.isInteger(index) && index >= 0 && index < events,
  );
  return areInside && (areSome || found.size === events) ? found : null;
}

function errorOf({ error, code, field }: Members, status: number): ForebayClientError {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const other = status === 429 ? 'QUEUE_FULL' : status < 400 ? 'NOT_FOREBAY' : `HTTP_${status}`;
  const detail = { status, field: text(field) };
  return new ForebayClientError(text(code) ?? other, text(error) ?? `Status ${status}`, detail);
}

/** How long an answer asks to wait, in milliseconds; `null` if it does not. */
function retryAfterMs(headers: Headers, nowMs: number): number | null {
  const text = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, RETRY_AFTER_MS_MAX);
  const dateMs = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(dateMs)) return null;
  // both dates are of the server's clock; a page of another origin cannot read the second one
  const serverMs = Date.parse(headers.get('date') ?? '') || nowMs;
  return Math.min(Math.max(dateMs - serverMs, 0), RETRY_AFTER_MS_MAX);
}
