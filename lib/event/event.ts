import { isUtf8 } from 'node:buffer';
import { asError, ForebayError } from '../base/errors.js';
import { isDeeper, jsonErrorPosition } from '../base/json-position.js';
import { Ending } from './ending.js';

/**
 * An event: an object with a non-empty string `id`, a non-empty string `type` and `data`, which is any JSON value. A
 * missing `timestamp` is added; other members are kept as they are.
 */
export interface Event {
  readonly id: string;
  readonly type: string;
  readonly data: unknown;
  readonly timestamp?: unknown;
  readonly [member: string]: unknown;
}

/**
 * The event's line in the append log, without the line break at its end: the client's own JSON text. Numbers,
 * escapes, duplicate keys and the order of keys stay as they were sent. Line breaks between tokens become
 * spaces (inside JSON strings they cannot occur raw), and a missing `timestamp` is added before the last `}`.
 *
 * @param text one event as JSON
 * @param arrivedMs the time of arrival, in milliseconds since 1970
 * @param depthMax how deep it may be nested
 * @throws ForebayError `EVENT_NOT_JSON` with `position`, `EVENT_TOO_DEEP`, `EVENT_NOT_OBJECT`, `EVENT_FIELD` with `field`
 */
export function eventLine(text: string, arrivedMs: number, depthMax: number): string {
  const event: unknown = parseJson(text, depthMax);
  checkEvent(event);
  return lineOf(text, event.timestamp === undefined ? timestampEnd(arrivedMs) : '}');
}

/**
 * The value of a JSON text.
 *
 * @param depthMax how deep it may be nested
 * @param what it is, for the message
 * @throws ForebayError `EVENT_NOT_JSON` with `position`, `EVENT_TOO_DEEP`
 */
export function parseJson(text: string, depthMax: number, what = 'The event'): unknown {
  // before parsing: building deep values and throwing them away takes long, here and at the sink
  if (isDeeper(text, depthMax)) {
    const message = `${what} is nested more than ${depthMax} levels deep (--depth-max)`;
    throw new ForebayError('EVENT_TOO_DEEP', { message });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = jsonErrorPosition(text) ?? 0;
    throw new ForebayError('EVENT_NOT_JSON', {
      position,
      message: notJson(text, position, what),
      cause: error,
    });
  }
}

/**
 * A JSON object on one line.
 *
 * @param text valid JSON
 * @param end replaces its last `}`: more members, and a `}`
 */
export function lineOf(text: string, end: string): string {
  return withoutBreaks(text).slice(0, -1) + end;
}

/** A valid JSON text on one line: line breaks, which can only be between tokens, become spaces. */
export function withoutBreaks(text: string): string {
  const trimmed = text.trim();
  return trimmed.includes('\n') || trimmed.includes('\r') ? trimmed.replace(/[\n\r]/g, ' ') : trimmed;
}

/**
 * The JSON text of an event that a program passes as an object or as text.
 *
 * @throws ForebayError `EVENT_NOT_JSON` with `position` for text, `EVENT_NOT_OBJECT`
 */
export function eventText(event: unknown): string {
  if (typeof event === 'string') return wellFormed(event);
  let text: unknown;
  try {
    text = JSON.stringify(event);
  } catch (error) {
    const message = `The event has no JSON: ${asError(error).message}`;
    throw new ForebayError('EVENT_NOT_JSON', { message, cause: error });
  }
  if (typeof text === 'string') return text;
  const what =
    typeof event === 'object' ? 'what has no JSON' : event === undefined ? 'undefined' : `a ${typeof event}`;
  const message = `The event must be an object or its JSON text, not ${what}`;
  throw new ForebayError('EVENT_NOT_OBJECT', { message });
}

/** The end of a line whose event came without `timestamp`. It replaces the last `}`. */
export function timestampEnd(arrivedMs: number): string {
  return `,"timestamp":${arrivedMs}}`;
}

let endMs = NaN;
let ending = new Ending(Buffer.alloc(0));

/** The same in bytes, built once a millisecond. */
export function timestampEnding(arrivedMs: number): Ending {
  if (arrivedMs !== endMs) {
    endMs = arrivedMs;
    ending = new Ending(Buffer.from(timestampEnd(arrivedMs), 'latin1'));
  }
  return ending;
}

/** @throws ForebayError `EVENT_NOT_OBJECT`, `EVENT_FIELD` with `field` */
function checkEvent(value: unknown): asserts value is Event {
  checkObject(value);
  const { id, type, data } = value;
  checkText('id', id);
  checkText('type', type);
  if (data === undefined) {
    throw new ForebayError('EVENT_FIELD', { field: 'data', message: 'Field "data" is missing' });
  }
}

/**
 * @param value from `JSON.parse`: its objects inherit no name that an event has, and have no value `undefined`
 * @throws ForebayError `EVENT_NOT_OBJECT`
 */
export function checkObject(value: unknown): asserts value is Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  const what = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
  throw new ForebayError('EVENT_NOT_OBJECT', { message: `The event must be a JSON object, not ${what}` });
}

function checkText(field: string, member: unknown): void {
  if (typeof member === 'string' && member !== '') return;
  const what = member === undefined ? 'is missing' : 'must be a non-empty string';
  throw new ForebayError('EVENT_FIELD', { field, message: `Field "${field}" ${what}` });
}

/** The id of an event. @param line of the event, which is good */
export function idOfLine(line: string): { readonly id: string } {
  return JSON.parse(line) as Event;
}

/** Whether a line of the append log is an event. */
export function isEventLine(line: Buffer): boolean {
  try {
    checkEvent(JSON.parse(line.toString('utf8')));
    return true;
  } catch {
    return false;
  }
}

/**
 * Decodes a body. Node's own decoder silently turns bytes that are not UTF-8 into U+FFFD, so this looks for them
 * first.
 *
 * @throws ForebayError `BODY_NOT_UTF8` with `position`, the index of the first such byte
 */
export function decodeUtf8(body: Buffer): string {
  const text = body.toString('utf8');
  if (isUtf8(body)) return text;
  const again = Buffer.from(text, 'utf8');
  let position = 0;
  while (position < body.length && body[position] === again[position]) position++;
  // inside the U+FFFD that replaces the bad bytes: go to its start
  while (((again[position] ?? 0) & 0xc0) === 0x80) position--;
  throw new ForebayError('BODY_NOT_UTF8', {
    position,
    message: `The body is not valid UTF-8 at byte ${position}`,
  });
}

/** @throws ForebayError `EVENT_NOT_JSON` for half a surrogate pair, which no UTF-8 can hold */
function wellFormed(text: string): string {
  if (text.isWellFormed()) return text;
  const whole = text.toWellFormed();
  let position = 0;
  while (text[position] === whole[position]) position++;
  const message = `The event is not valid JSON: half a surrogate pair at position ${position}`;
  throw new ForebayError('EVENT_NOT_JSON', { position, message });
}

function notJson(text: string, position: number, what: string): string {
  if (text.trim() === '') return `${what} is not valid JSON: the body is empty`;
  if (position >= text.length) return `${what} is not valid JSON: it ends too early, at position ${position}`;
  let line = 1;
  let lineStart = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < position; at = text.indexOf('\n', at + 1)) {
    line++;
    lineStart = at + 1;
  }
  const place = `line ${line}, column ${position - lineStart + 1}`;
  return `${what} is not valid JSON at position ${position} (${place})`;
}
