import { endianness } from 'node:os';
import { ID_BYTES } from '../../../event/event-ids.js';
import { checkedText, markedBytes, markedLine, writeMarkedLine } from '../checksum.js';
import { FileIds } from './file-ids.js';

/** The ids of a sealed batch file, as a line of a segment: they outlive the file there. */
export interface IdRecord {
  /** The name of the file. */
  readonly file: string;
  /** When it was sealed, in milliseconds since 1970: its ids are as old. */
  readonly atMs: number;
  readonly ids: FileIds;
}

/** The first line of a segment: its ids were hashed with the secret of this check. */
export function segmentHead(secretCheck: string): Buffer {
  return Buffer.from(markedLine(JSON.stringify({ secret: secretCheck })));
}

/** There may be a hundred kilobytes of ids, for each few milliseconds of events, so they are copied once. */
export function recordLine({ file, atMs, ids }: IdRecord): Buffer {
  const head = `${JSON.stringify({ file, at: atMs }).slice(0, -1)},"ids":{`;
  const members = [...ids].flatMap(([source, words], index) => [
    `${index > 0 ? ',' : ''}${JSON.stringify(source)}:"`,
    base64(words),
    '"',
  ]);
  const texts = [head, ...members, '}}'];
  const textBytes = texts.reduce((all, text) => all + Buffer.byteLength(text), 0);
  const line = Buffer.allocUnsafe(markedBytes(1, textBytes));
  let at = 0;
  for (const text of texts) at += line.write(text, at);
  writeMarkedLine(line, 0, line, 0, textBytes);
  return line;
}

/** The content of a segment. */
export interface SegmentContent {
  /** `null` if its first line is damaged. */
  readonly secretCheck: string | null;
  readonly records: readonly IdRecord[];
  readonly damagedLines: number;
  /** Bytes after the last line: a write that a crash cut off, or a failed one. Nothing went by them. */
  readonly tornBytes: number;
}

const LINE_FEED = 0x0a;
const isLittleEndian = endianness() === 'LE';

/** Reads a segment. A damaged line is not believed. */
export function readSegment(file: Buffer<ArrayBuffer>): SegmentContent {
  const records: IdRecord[] = [];
  let secretCheck: string | null = null;
  let damagedLines = 0;
  let start = 0;
  for (let end = file.indexOf(LINE_FEED); end !== -1; end = file.indexOf(LINE_FEED, start)) {
    const line = readSegmentLine(file.subarray(start, end), start === 0);
    if (line === null) damagedLines++;
    else if ('ids' in line) records.push(line);
    else secretCheck = line.secretCheck;
    start = end + 1;
  }
  return { secretCheck, records, damagedLines, tornBytes: file.length - start };
}

/** The first line of a segment. */
export interface SegmentHead {
  readonly secretCheck: string;
}

/**
 * Reads a line of a segment, without its line feed; `null` if it is damaged.
 *
 * @param isFirst whether it is the first line of its file
 */
export function readSegmentLine(line: Buffer<ArrayBuffer>, isFirst: boolean): SegmentHead | IdRecord | null {
  const text = checkedText(line);
  const value = text === null ? null : jsonOf(text);
  if (isFirst && isHead(value)) return { secretCheck: value.secret };
  return isRecord(value) ? recordOf(value) : null;
}

/** A mark fits text that is not JSON only if someone has made it so. */
function jsonOf(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString());
  } catch {
    return null;
  }
}

function base64(words: Uint32Array<ArrayBuffer>): string {
  const bytes = Buffer.from(words.buffer, words.byteOffset, words.byteLength);
  return (isLittleEndian ? bytes : Buffer.from(bytes).swap32()).toString('base64');
}

interface RecordLine {
  readonly file: string;
  readonly at: number;
  readonly ids: Readonly<Record<string, string>>;
}

function recordOf({ file, at, ids }: RecordLine): IdRecord {
  const all = new FileIds();
  for (const [source, text] of Object.entries(ids)) {
    const bytes = Buffer.from(new ArrayBuffer(idsIn(text) * ID_BYTES));
    bytes.write(text, 'base64');
    if (!isLittleEndian) bytes.swap32();
    all.adopt(source, new Uint32Array(bytes.buffer));
  }
  return { file, atMs: at, ids: all };
}

/** How many whole ids a text in Base64 has. */
function idsIn(text: string): number {
  return Math.floor(Buffer.byteLength(text, 'base64') / ID_BYTES);
}

function isHead(value: unknown): value is { readonly secret: string } {
  return isObject(value) && typeof value['secret'] === 'string';
}

function isRecord(value: unknown): value is RecordLine {
  return (
    isObject(value) &&
    typeof value['file'] === 'string' &&
    typeof value['at'] === 'number' &&
    isObject(value['ids']) &&
    Object.values(value['ids']).every((ids) => typeof ids === 'string')
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
