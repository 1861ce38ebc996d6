import { isUtf8 } from 'node:buffer';
import { isDeeper } from '../../base/json-position.js';
import { endOfJson } from '../../event/event-scan.js';

const MARK = '\u{feff}';
const NULL = Buffer.from('null');
const OPENING = new Set(Buffer.from('[{'));

/** Which bodies may be JSON: none, as it is a form; objects and arrays, as it is a text; or any. */
export type MayBeJson = 'none' | 'structured' | 'any';

/** A whole body, and how an event has it. */
export class Body {
  /** The value of `data` in UTF-8, without a line break. */
  readonly data: Buffer;
  /** Whether `data` is JSON that is not the text byte for byte. */
  readonly isChanged: boolean;
  readonly #bytes: Buffer;
  readonly #isJson: boolean;
  #text: string | null = null;

  /** @param depthMax how deep JSON may be nested; deeper JSON is a text */
  constructor(bytes: Buffer, mayBeJson: MayBeJson, depthMax: number) {
    this.#bytes = bytes;
    if (isCertain(bytes, mayBeJson, depthMax)) {
      this.data = bytes;
      this.isChanged = false;
      this.#isJson = true;
      return;
    }
    const text = this.text;
    const json = text === null ? null : jsonIn(text, mayBeJson, depthMax);
    // a line of the log has no line break
    const data = json?.replaceAll(/[\n\r]/g, ' ') ?? JSON.stringify(text);
    this.data = text === null ? NULL : Buffer.from(data);
    this.isChanged = json !== null && data !== text;
    this.#isJson = json !== null;
  }

  /** `null` if it is none. One with the character 0 is none to most: PostgreSQL takes that in no string. */
  get text(): string | null {
    if (this.#text === null && isText(this.#bytes)) this.#text = this.#bytes.toString();
    return this.#text;
  }

  /** Without a byte order mark; `null` if it is none. */
  get json(): string | null {
    return this.#isJson && this.text !== null ? withoutMark(this.text) : null;
  }

  get isBinary(): boolean {
    return this.data === NULL;
  }

  get base64(): string {
    return this.#bytes.toString('base64');
  }
}

/** Whether a body is certainly JSON that can be kept as it is, which most are. */
function isCertain(bytes: Buffer, mayBeJson: MayBeJson, depthMax: number): boolean {
  const first = bytes[0] ?? 0;
  if (mayBeJson === 'none' || (mayBeJson === 'structured' && !OPENING.has(first))) return false;
  return isUtf8(bytes) && bytes.length > 0 && endOfJson(bytes, 0, depthMax) === bytes.length;
}

function isText(bytes: Buffer): boolean {
  return isUtf8(bytes) && !bytes.includes(0);
}

/** The JSON text in a body, without its byte order mark; `null`: there is none. */
function jsonIn(text: string, mayBeJson: MayBeJson, depthMax: number): string | null {
  const json = withoutMark(text);
  if (mayBeJson === 'none' || (mayBeJson === 'structured' && !/^\s*[[{]/.test(json))) return null;
  // before parsing, as elsewhere: deep values take long
  if (isDeeper(json, depthMax)) return null;
  try {
    JSON.parse(json);
    return json;
  } catch {
    return null;
  }
}

function withoutMark(text: string): string {
  return text.startsWith(MARK) ? text.slice(MARK.length) : text;
}
