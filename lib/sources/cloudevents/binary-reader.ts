import { isUtf8 } from 'node:buffer';
import { decodeUtf8, parseJson, timestampEnd, withoutBreaks } from '../../event/event.js';
import type { EventIds } from '../../event/event-ids.js';
import type { Limits, RequestHead } from '../../seams/source.js';
import { BodyBuffer } from '../body-buffer.js';
import { EventsReader, isLenient } from '../events-reader.js';
import type { EventId, Reading } from '../events-reader.js';
import { markEnd } from '../json-reader.js';
import { mediaType } from '../media-type.js';
import { checkAttributes, wrong } from './attributes.js';
import { headerValue } from './header-value.js';
import { NO_DATA } from './structured.js';

export const PREFIX = 'ce-';

/** What the `Content-Type` says of the data; `unknown`: there is none. */
type DataKind = 'json' | 'text' | 'bytes' | 'unknown';

/** Where attributes do not come from in this mode, and what it has instead. */
const NOT_HEADERS = new Map([
  ['datacontenttype', 'Content-Type has it'],
  ['data', 'the body is the data'],
  ['data_base64', 'the body is the data'],
]);
const JSON_TYPE = /^[^/]+\/(?:[^/]+\+)?json$/;
/** Never a string, even if the bytes happen to be text: who reads them looks in one place. */
const BYTES_TYPE = /^(?:application\/octet-stream|(?:audio|font|image|video)\/(?!.*\+xml$).*)$/;
/** Control characters that no text has. Some databases take no string with them. */
const NOT_IN_TEXT = /[^\P{Cc}\t\n\r]/u;
const DATA = 'The data, which is JSON by its Content-Type,';

/** What is the same for all requests with one head. */
interface BinaryHead {
  readonly limits: Limits;
  readonly isLenient: boolean;
  /** The start of the event: all attributes, without the brace at the end. */
  readonly start: string;
  readonly id: EventId;
  readonly hasTimestamp: boolean;
  readonly kind: DataKind;
}

/**
 * Reads the attributes of an event whose attributes are headers.
 *
 * @throws ForebayError `EVENT_FIELD` with `field`
 */
export function binaryHead(head: RequestHead, limits: Limits): BinaryHead {
  const given = [...head.headersWith(PREFIX)].map(([header, text]): [string, string] => {
    const name = header.slice(PREFIX.length);
    const instead = NOT_HEADERS.get(name);
    if (instead !== undefined) throw wrong(name, `Header ${header} must not be there: ${instead}`);
    return [name, headerValue(name, text)];
  });
  const type = head.header('content-type');
  if (type !== undefined) given.push(['datacontenttype', type]);
  const attributes = Object.fromEntries(given);
  checkAttributes(attributes, (name) => (name === 'datacontenttype' ? 'Content-Type' : `Header ce-${name}`));
  return {
    limits,
    isLenient: isLenient(head),
    start: JSON.stringify(attributes).slice(0, -1),
    id: { id: attributes['id'] ?? '', origin: attributes['source'] ?? '' },
    hasTimestamp: attributes['timestamp'] !== undefined,
    kind: kindOf(type),
  };
}

function kindOf(type: string | undefined): DataKind {
  if (type === undefined) return 'unknown';
  const { essence = '', isUtf8: isInUtf8 = false } = mediaType(type) ?? {};
  if (!isInUtf8 || BYTES_TYPE.test(essence)) return 'bytes';
  return JSON_TYPE.test(essence) ? 'json' : 'text';
}

/** One event: its attributes are headers, and the body is its data. */
export class BinaryReader extends EventsReader {
  readonly #head: BinaryHead;
  readonly #body: BodyBuffer;

  /** @param lengthDeclared in bytes; 0: not known */
  constructor(head: BinaryHead, lengthDeclared: number, ids: EventIds | null = null) {
    const { limits, hasTimestamp, id } = head;
    const line: Reading['line'] = (text, arrivedMs) =>
      hasTimestamp ? text : text.slice(0, -1) + timestampEnd(arrivedMs);
    super({ limits, isLenient: head.isLenient, line, id: () => id, scan: null }, ids);
    this.#head = head;
    this.#body = new BodyBuffer(lengthDeclared);
  }

  append(piece: Buffer): void {
    this.#body.append(piece);
    if (this.#body.length > this.eventBytesMax) throw this.tooLarge();
  }

  end(): void {
    const body = this.#body.take();
    this.add(() => `${this.#head.start}${this.#dataOf(body)}}`, null);
  }

  /** @returns the members that hold the data, each after a comma */
  #dataOf(body: Buffer): string {
    const { kind, limits } = this.#head;
    if (body.length === 0) return NO_DATA;
    if (kind === 'json') {
      const text = decodeUtf8(body.subarray(markEnd(body)));
      parseJson(text, limits.depthMax - 1, DATA); // the event is one level more
      return `,"data":${withoutBreaks(text)}`;
    }
    const text = kind !== 'bytes' && isUtf8(body) ? body.toString() : null;
    if (text !== null && kind === 'unknown' && isJson(text, limits.depthMax - 1))
      return `,"data":${withoutBreaks(text)}`;
    if (text !== null && !NOT_IN_TEXT.test(text)) return `,"data":${JSON.stringify(text)}`;
    return `${NO_DATA},"data_base64":"${body.toString('base64')}"`;
  }
}

function isJson(text: string, depthMax: number): boolean {
  try {
    parseJson(text, depthMax);
    return true;
  } catch {
    return false;
  }
}
