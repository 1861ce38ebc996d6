import { crc32, gunzipSync } from 'node:zlib';
import type { DiskTree } from './disk-tree.js';

const LINE_FEED = 10;
const TAB = 9;
const SPACE = 32;
const MARK_BYTES = 32;
const RUN_MARK_BYTES = 64;
/** Of an id, in one of its forms: before the mark of the run, if the source of the event has a window. */
const ID_MARK = `(?:${[28, 68, 24 + 96 + 32].map((bytes) => `[ \\t]{${bytes}}`).join('|')})?`;
/** Of a context, in one of its forms: after that of an id. */
const CONTEXT_MARK = `(?:${[6, 6 + 32, 6 + 25 * 8].map((bytes) => `[ \\t]{${bytes}}`).join('|')})?`;
/** With one more space before it, in a file of several batches. */
const RUN_MARK = ` ?[ \\t]{${RUN_MARK_BYTES}}`;
/** A text ends with a brace, so all white space after it is marks. */
const MARKS = new RegExp(`(?<=\\})${ID_MARK}${CONTEXT_MARK}(?:${RUN_MARK})?$`);
const MARKS_OF_START = new RegExp(`(?<=\\})${ID_MARK}${CONTEXT_MARK}${RUN_MARK}$`);
const BATCH_NAME = /^batch_\d{8}_\d{6}_\d+\.jsonl(\.gz)?$/;
const RETAINED_NAME = /^batch_\d{8}_\d{6}_\d+\.settled_\d{8}_\d{6}(_\d+)?\.jsonl(\.gz)?$/;

/** What every member starts with, and where its size is after that. */
const MEMBER_START = Buffer.of(0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255);
const MEMBER_SIZE_AT = 16;

/** What a log directory holds, read by the rules of docs/append-log.md and not by the code of lib/. */
export interface SurvivingLog {
  /** The text of each line that is valid, without mark. */
  readonly texts: ReadonlySet<string>;
  readonly batches: ReadonlyMap<string, Buffer>;
  /** What is set aside of each batch. */
  readonly quarantine: ReadonlyMap<string, Buffer>;
  /** The text of each event among the dead letters. */
  readonly deadLetters: ReadonlySet<string>;
}

export function readSurvivingLog(tree: DiskTree, dir: string): SurvivingLog {
  const texts = new Set<string>();
  const batches = new Map<string, Buffer>();
  for (const [name, file] of tree.files(dir)) {
    if (!isBatchFile(name)) continue;
    const batch = batchIn(name);
    const lines = linesIn(name, file.content());
    batches.set(batch, Buffer.concat([batches.get(batch) ?? Buffer.alloc(0), lines]));
    if (name !== batch) batches.set(name, file.content());
    for (const text of validTexts(lines)) texts.add(text);
  }
  const quarantine = new Map<string, Buffer>();
  for (const [name, file] of tree.files(`${dir}/quarantine`)) {
    // a second one of a batch has a number behind its name, and damage of a part its position
    const batch = name.replace(/\.\d+$/, '').replace(/#\d+$/, '');
    quarantine.set(batch, Buffer.concat([quarantine.get(batch) ?? Buffer.alloc(0), file.content()]));
  }
  const deadLetters = new Set<string>();
  for (const [, file] of tree.files(`${dir}/dead-letters`)) {
    for (const text of lettersOf(file.content())) deadLetters.add(text);
  }
  return { texts, batches, quarantine, deadLetters };
}

/** The texts in some files of a directory. */
export function textsIn(tree: DiskTree, dir: string, names: readonly string[]): string[] {
  const files = tree.files(dir);
  return names
    .filter(isBatchFile)
    .flatMap((name) => validTexts(linesIn(name, files.get(name)?.content() ?? Buffer.alloc(0))));
}

/** The texts in the files that are kept after their delivery. */
export function retainedTexts(tree: DiskTree, dir: string): Set<string> {
  const files = [...tree.files(`${dir}/retained`)].filter(([name]) => RETAINED_NAME.test(name));
  return new Set(files.flatMap(([name, file]) => validTexts(linesIn(name, file.content()))));
}

/** What several log directories hold together. Names of batches may be the same: nothing in them may be damaged. */
export function together(logs: readonly SurvivingLog[]): SurvivingLog {
  return {
    texts: new Set(logs.flatMap(({ texts }) => [...texts])),
    batches: new Map(logs.flatMap(({ batches }) => [...batches])),
    quarantine: new Map(logs.flatMap(({ quarantine }) => [...quarantine])),
    deadLetters: new Set(logs.flatMap(({ deadLetters }) => [...deadLetters])),
  };
}

/** The text of each event of a file of dead letters. */
export function lettersOf(file: Buffer): string[] {
  // a line that is cut off is written again, as its batch file is still there
  const lines = String(file).split('\n').slice(0, -1).filter(isJson);
  return lines.map((line) => line.slice(line.indexOf(',"event":') + ',"event":'.length, -1));
}

/** The batch in a file: its name is the same if the file is compressed. */
export function batchIn(file: string): string {
  return file.replace(/\.gz$/, '');
}

/** The lines of a batch file; of a compressed one, those of its sound members. */
export function linesIn(name: string, content: Buffer): Buffer {
  return name.endsWith('.gz') ? Buffer.concat(membersIn(content).map(({ lines }) => lines)) : content;
}

/** A member of a compressed file: where it is, and its lines; none if it is damaged. */
export interface Member {
  readonly at: number;
  readonly bytes: Buffer;
  readonly lines: Buffer;
}

export function membersIn(content: Buffer): Member[] {
  const members: Member[] = [];
  for (let at = content.indexOf(MEMBER_START); at !== -1;) {
    const next = content.indexOf(MEMBER_START, at + 1);
    // the start of the next one may be damaged: the head says where this one ends
    const end =
      at + (content.length >= at + MEMBER_SIZE_AT + 4 ? content.readUInt32LE(at + MEMBER_SIZE_AT) : 0);
    const upToNext = content.subarray(at, next === -1 ? content.length : next);
    const own = content.subarray(at, end);
    const sound = [own, upToNext].map((bytes) => ({ at, bytes, lines: expanded(bytes) }));
    const { bytes, lines } = sound.find((each) => each.lines !== null) ?? { bytes: upToNext, lines: null };
    members.push({ at, bytes, lines: lines ?? Buffer.alloc(0) });
    at = next;
  }
  return members;
}

/** `null`: it is damaged. */
export function expanded(member: Buffer): Buffer | null {
  try {
    return gunzipSync(member);
  } catch {
    return null;
  }
}

export function isBatchFile(name: string): boolean {
  return BATCH_NAME.test(name);
}

/** Each valid line of a batch file, without marks. */
export function validTexts(file: Buffer): string[] {
  const lines = linesOf(file);
  const rest = file.subarray(file.lastIndexOf(LINE_FEED) + 1);
  // a last line that only lost its line feed, or whose line feed has a flipped bit
  const saved = markedText(rest) ?? markedText(rest.subarray(0, -1));
  const marked = lines.map(markedText).filter((text) => text !== null);
  if (saved !== null) marked.push(saved);
  if (marked.length > 0) return marked.map((text) => String(text).replace(MARKS, ''));
  // of a version that wrote no marks
  return lines.map(String).filter(isEvent);
}

/** How many batches a file holds: each starts with the mark of the run. */
export function batchesIn(file: Buffer): number {
  const texts = linesOf(file).flatMap((line) => markedText(line) ?? []);
  return Math.max(1, texts.filter((text) => MARKS_OF_START.test(String(text))).length);
}

/** Whether a batch file has a line with a mark that fits. */
export function hasMarks(file: Buffer): boolean {
  const end = file.indexOf(LINE_FEED);
  return end !== -1 && markedText(file.subarray(0, end)) !== null;
}

function linesOf(file: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = file.indexOf(LINE_FEED); end !== -1; end = file.indexOf(LINE_FEED, start)) {
    lines.push(file.subarray(start, end));
    start = end + 1;
  }
  return lines;
}

function markedText(line: Buffer): Buffer | null {
  const text = line.subarray(0, Math.max(0, line.length - MARK_BYTES));
  if (text.length === 0) return null;
  let sum = 0;
  for (const byte of line.subarray(text.length)) {
    if (byte !== TAB && byte !== SPACE) return null;
    sum = sum * 2 + Number(byte === TAB);
  }
  return sum === crc32(text) ? text : null;
}

function isEvent(line: string): boolean {
  if (!isJson(line)) return false;
  const event: unknown = JSON.parse(line);
  return typeof event === 'object' && event !== null && 'id' in event && 'type' in event && 'data' in event;
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
