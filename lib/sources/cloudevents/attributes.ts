import { ForebayError } from '../../base/errors.js';
import { mediaType } from '../media-type.js';
import { isBase64, isInteger, isText, isTime, isUri, isUriReference } from './types.js';

/** The members of an event by name; `null` means that an attribute is not set (JSON format, 2.2). */
export type Members = Readonly<Record<string, unknown>>;

interface Rule {
  readonly isRequired: boolean;
  /** @param text not empty, of characters that an attribute may hold */
  readonly fits: (text: string) => boolean;
  /** What fits, for the message. */
  readonly words: string;
}

const TEXT = { fits: () => true, words: 'a non-empty string without control characters' };
/** A longer one could not be a header, and would take the pattern too far. */
const MEDIA_TYPE_MAX = 16_384;

/** The attributes of the specification. */
const RULES: Readonly<Record<string, Rule>> = {
  specversion: { isRequired: true, fits: (text) => text === '1.0', words: '"1.0"' },
  id: { isRequired: true, ...TEXT },
  source: { isRequired: true, fits: isUriReference, words: 'a non-empty URI reference (RFC 3986)' },
  type: { isRequired: true, ...TEXT },
  datacontenttype: {
    isRequired: false,
    fits: (text) => text.length <= MEDIA_TYPE_MAX && mediaType(text) !== null,
    words: 'a media type like application/json',
  },
  dataschema: { isRequired: false, fits: isUri, words: 'an absolute URI (RFC 3986)' },
  subject: { isRequired: false, ...TEXT },
  time: { isRequired: false, fits: isTime, words: 'a time like 2018-04-05T17:31:00Z (RFC 3339)' },
};
const NAMES = new Set(Object.keys(RULES));
const DATA = ['data', 'data_base64'];
/** The attributes without which a request is no event. */
export const REQUIRED = Object.keys(RULES).filter((name) => RULES[name]?.isRequired === true);

const EXTENSION_NAME = /^[a-z\d]+$/;
/** A longer name is cut in a message. */
const SHOWN_MAX = 64;

/**
 * Checks the attributes of an event.
 *
 * @param called what an attribute is called where the sender wrote it, for the message
 * @throws ForebayError `EVENT_FIELD` with `field`
 */
export function checkAttributes(event: Members, called = (name: string) => `Attribute "${name}"`): void {
  for (const [name, { isRequired, fits, words }] of Object.entries(RULES)) {
    const value = event[name] ?? null;
    if (value === null) {
      if (isRequired) throw wrong(name, `${called(name)} is missing`);
    } else if (!isText(value) || value === '' || !fits(value)) {
      throw wrong(name, `${called(name)} must be ${words}`);
    }
  }
  for (const [name, value] of Object.entries(event)) {
    if (NAMES.has(name) || DATA.includes(name)) continue;
    const shown = name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX).toWellFormed()}…` : name;
    if (!EXTENSION_NAME.test(name))
      throw wrong(shown, `${called(shown)} must have a name of lower-case letters and digits`);
    if (value !== null && typeof value !== 'boolean' && !isInteger(value) && !isText(value)) {
      const words = 'a string without control characters, true, false or an integer of 32 bits';
      throw wrong(shown, `${called(shown)} must be ${words}`);
    }
  }
}

/**
 * Checks the data of an event in JSON. A `data` of `null` may be there beside `data_base64`: that is how Forebay
 * itself delivers binary data.
 *
 * @throws ForebayError `EVENT_FIELD` with `field`
 */
export function checkData({ data, data_base64: base64 }: Members): void {
  const field = 'data_base64';
  if (base64 === undefined || base64 === null) return;
  if (typeof base64 !== 'string' || !isBase64(base64))
    throw wrong(field, 'Member "data_base64" must be a string in Base64 (RFC 4648)');
  if (data !== undefined && data !== null)
    throw wrong(field, 'Member "data_base64" must not be there beside "data"');
}

export function wrong(field: string, message: string): ForebayError {
  return new ForebayError('EVENT_FIELD', { field, message });
}
