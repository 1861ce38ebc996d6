import { checkedText } from '../checksum.js';
import { readAt } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import type { FileView } from '../file-view.js';
import type { Ending } from './batch-file-name.js';
import { codecOf, NoZstd } from './codec.js';
import type { Codec } from './codec.js';
import { expanded, tooLarge } from './expanded.js';
import { LOST_LINE_BYTES, readIndex } from './member-index.js';
import type { MemberIndex, ReadBytes, Section } from './member-index.js';

const LINE_FEED = 0x0a;
/** A smaller file is read at once. */
const AT_ONCE_BYTES = 1024 * 1024;

export interface CompressedOptions {
  /** Known from an earlier look at the same file. */
  readonly index?: MemberIndex | undefined;
  /** A file that Forebay did not write has at most this many bytes of lines, as it has no members to read one by one. */
  readonly foreignMax: number;
  /** Keeps damaged bytes of the file, which start at a position. Called before the rest is used. */
  readonly setAside: (damaged: Buffer, at: number) => Promise<void>;
}

/**
 * The lines of an open compressed file. What is damaged is set aside; what can be read of it is there, and in the place of
 * each line that cannot, a lost line: so the lines after it keep their numbers.
 */
export class CompressedView implements FileView {
  readonly size: number;
  readonly index: MemberIndex;
  readonly #codec: Codec;
  readonly #read: ReadBytes;
  readonly #options: CompressedOptions;
  /** The lines of the section that was read last. */
  #last: { readonly section: Section; readonly lines: Buffer<ArrayBuffer> } | null = null;

  private constructor(codec: Codec, read: ReadBytes, index: MemberIndex, options: CompressedOptions) {
    this.#codec = codec;
    this.#read = read;
    this.index = index;
    this.size = index.viewBytes;
    this.#options = options;
  }

  /** @throws the system's error; NoZstd; Error if it is too large and not written by Forebay */
  static async open(
    fs: FileSystem,
    fd: number,
    size: number,
    ending: Ending,
    options: CompressedOptions,
  ): Promise<CompressedView> {
    const codec = codecOf(ending);
    const whole = size > AT_ONCE_BYTES ? null : await readAt(fs, fd, 0, size);
    const read: ReadBytes = async (at, bytesMax) =>
      whole?.subarray(at, at + bytesMax) ?? readAt(fs, fd, at, bytesMax);
    const { foreignMax } = options;
    const index = options.index ?? (await readIndex(codec, read, size));
    if (index !== null) return new CompressedView(codec, read, index, options);
    if (size > foreignMax || !codec.readsForeign) throw unreadable(codec, size);
    const file = await read(0, size);
    const { lines, isDamaged } = await expanded(codec, file, foreignMax, true);
    if (isDamaged) await options.setAside(file, 0);
    const all = isDamaged ? withLost(lines, 0, null) : lines;
    const section = {
      at: 0,
      bytes: size,
      viewAt: 0,
      viewBytes: all.length,
      lines: 0,
      isLost: false,
      isSetAside: true,
    };
    const view = new CompressedView(
      codec,
      read,
      { ending, sections: [section], viewBytes: all.length },
      options,
    );
    view.#last = { section, lines: all };
    return view;
  }

  async readAt(at: number, bytesMax: number): Promise<Buffer<ArrayBuffer>> {
    const end = Math.min(this.size, at + bytesMax);
    const parts: Buffer[] = [];
    for (let index = this.#sectionAt(at), next = at; next < end; index++) {
      const section = this.index.sections[index];
      if (section === undefined) break;
      const lines = await this.#linesOf(section);
      parts.push(lines.subarray(next - section.viewAt, end - section.viewAt));
      next = section.viewAt + lines.length;
    }
    return Buffer.concat(parts);
  }

  #sectionAt(at: number): number {
    const { sections } = this.index;
    let [low, high] = [0, sections.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const { viewAt, viewBytes } = sections[middle] ?? { viewAt: 0, viewBytes: 0 };
      if (viewAt + viewBytes <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #linesOf(section: Section): Promise<Buffer<ArrayBuffer>> {
    if (this.#last?.section === section) return this.#last.lines;
    const lines = await this.#expand(section);
    this.#last = { section, lines };
    return lines;
  }

  async #expand(section: Section): Promise<Buffer<ArrayBuffer>> {
    const { at, bytes, viewBytes, isLost } = section;
    const member = await this.#read(at, bytes);
    if (!isLost) {
      const { lines, isDamaged } = await expanded(this.#codec, member, viewBytes, false);
      if (!isDamaged && lines.length === viewBytes) return lines;
      await this.#setAside(section, member);
      return withLost(lines, section.lines, viewBytes);
    }
    await this.#setAside(section, member);
    return lostLines(section.lines, viewBytes);
  }

  async #setAside(section: Section, bytes: Buffer): Promise<void> {
    if (section.isSetAside || bytes.length === 0) return;
    await this.#options.setAside(bytes, section.at);
    section.isSetAside = true;
  }
}

function unreadable(codec: Codec, bytes: number): Error {
  return codec.isKnown ? tooLarge(bytes) : new NoZstd();
}

/**
 * What of a damaged member can be used, with lost lines in the place of the others.
 *
 * @param lines how many it had, and their `size`; `null`: nobody knows
 */
function withLost(read: Buffer<ArrayBuffer>, lines: number, size: number | null): Buffer<ArrayBuffer> {
  const whole = read.subarray(0, read.lastIndexOf(LINE_FEED) + 1);
  if (size === null) return Buffer.concat([whole, lostLines(1, LOST_LINE_BYTES)]);
  // without its last line feed its last line, and the first one after it, would be one
  const isAll = read.length === size && read.at(-1) === LINE_FEED;
  if (isAll && linesIn(read) === lines) return read;
  // a line feed may be wrong: the lines before and after it have their numbers if they are counted from the ends
  const before = soundStart(whole);
  const after = isAll ? soundEnd(whole.subarray(before.bytes)) : NOTHING;
  const number = Math.max(1, lines - before.lines - after.lines);
  const lost = lostLines(number, Math.max(0, size - before.bytes - after.bytes));
  return Buffer.concat([whole.subarray(0, before.bytes), lost, whole.subarray(whole.length - after.bytes)]);
}

const NOTHING = { bytes: 0, lines: 0 };

/** The sound lines at the start of some lines. */
function soundStart(lines: Buffer<ArrayBuffer>): { readonly bytes: number; readonly lines: number } {
  let [bytes, count] = [0, 0];
  for (let end = lines.indexOf(LINE_FEED); end !== -1; end = lines.indexOf(LINE_FEED, bytes)) {
    if (checkedText(lines.subarray(bytes, end)) === null) break;
    bytes = end + 1;
    count++;
  }
  return { bytes, lines: count };
}

/** The sound lines at the end of some lines. */
function soundEnd(lines: Buffer<ArrayBuffer>): { readonly bytes: number; readonly lines: number } {
  let [start, count] = [lines.length, 0];
  while (start > 0) {
    const next = start < 2 ? 0 : lines.lastIndexOf(LINE_FEED, start - 2) + 1;
    if (checkedText(lines.subarray(next, start - 1)) === null) break;
    start = next;
    count++;
  }
  return { bytes: lines.length - start, lines: count };
}

/** This number of lines, of this size together, without anything in them. */
function lostLines(lines: number, size: number): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(size);
  for (let line = 1; line < lines; line++) bytes[LOST_LINE_BYTES * line - 1] = LINE_FEED;
  bytes[size - 1] = LINE_FEED;
  return bytes;
}

function linesIn(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1)) lines++;
  return lines;
}

/**
 * Whether lines of a view of a compressed file are lost: nothing of them is to be set aside, as the bytes of the file were.
 */
export function isLostLine(line: Buffer): boolean {
  return line[0] === 0 && line.every((byte) => byte === 0 || byte === LINE_FEED);
}
