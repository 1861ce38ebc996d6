import { ForebayClientError } from './client-error.js';

interface Members {
  /** Not empty. Without one the client makes one. */
  readonly id?: string;
  /** Not empty. */
  readonly type: string;
  /** Anything that has JSON. */
  readonly data: unknown;
}

/** An event as a sender gives it. Other members are kept. */
export type ClientEvent = Members | (Members & Readonly<Record<string, unknown>>);

/**
 * The JSON text of an event, with an id.
 *
 * @throws ForebayClientError `EVENT_NOT_OBJECT`, `EVENT_FIELD` or `EVENT_NOT_JSON`
 */
export function eventText(event: ClientEvent): string {
  // callers without types give anything
  const given: unknown = event;
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ForebayClientError('EVENT_NOT_OBJECT', 'The event must be an object');
  let whole: ClientEvent;
  let text: string;
  try {
    whole = { ...event, id: event.id ?? newId() };
    text = JSON.stringify(whole);
  } catch (error) {
    throw new ForebayClientError('EVENT_NOT_JSON', `The event has no JSON: ${String(error)}`);
  }
  for (const field of ['id', 'type'] as const) {
    if (typeof whole[field] !== 'string' || whole[field] === '')
      throw new ForebayClientError('EVENT_FIELD', `Field "${field}" must be a non-empty string`, { field });
  }
  if (['undefined', 'function', 'symbol'].includes(typeof whole.data))
    throw new ForebayClientError('EVENT_FIELD', 'Field "data" must be a JSON value', { field: 'data' });
  return text;
}

function newId(): string {
  // browsers leave it out if the page is not a secure context
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})/, '$1-$2-4$3-8$4-');
}
