import type { Ending } from './batch-file-name.js';
import type { Codec } from './codec.js';
import { headBytes, readHead } from './member.js';
import type { Member } from './member.js';

/** Some bytes of an open file, from a position. */
export type ReadBytes = (at: number, bytesMax: number) => Promise<Buffer<ArrayBuffer>>;

/** A part of a compressed file: a member, or what is there instead of members whose heads are damaged. */
export interface Section {
  /** Where it is in the file, and its size. */
  readonly at: number;
  readonly bytes: number;
  /** Where its lines are in the view of the file, and their size there. */
  readonly viewAt: number;
  readonly viewBytes: number;
  readonly lines: number;
  /** Whether its head is damaged: nobody knows where its members are. */
  readonly isLost: boolean;
  /** Whether its bytes were set aside as damaged. */
  isSetAside: boolean;
}

export interface MemberIndex {
  /** That of the file. */
  readonly ending: Ending;
  readonly sections: readonly Section[];
  /** The size of the view. */
  readonly viewBytes: number;
}

/** How much is read at once to find the next head. */
const SEARCH_BYTES = 64 * 1024;
/** In the place of a line that is lost: a zero byte, which starts no event, and a line feed. */
export const LOST_LINE_BYTES = 2;
/** Between two heads at most this many lines count as lost, for each byte there, and beside: anyone can make a head. */
const LINES_LOST_MAX = 30;
const LINES_LOST_MORE = 65_536;

/**
 * Finds the members of a file by their heads; `null`: it has none that Forebay wrote, or none that can be read so, and its
 * format is read to the end without heads.
 */
export async function readIndex(codec: Codec, read: ReadBytes, size: number): Promise<MemberIndex | null> {
  const sections: Section[] = [];
  let viewBytes = 0;
  let [linesAt, lines, fileBytes] = [0, 0, 0];
  let lostAt: number | null = null;
  const add = (section: Omit<Section, 'viewAt' | 'isSetAside'>): void => {
    sections.push({ ...section, viewAt: viewBytes, isSetAside: false });
    viewBytes += section.viewBytes;
  };
  const addLost = (end: number, linesLost: number): void => {
    const at = lostAt ?? end;
    const most = (end - at) * LINES_LOST_MAX + LINES_LOST_MORE;
    const number = Math.max(1, Math.min(linesLost, most));
    add({ at, bytes: end - at, viewBytes: number * LOST_LINE_BYTES, lines: number, isLost: true });
    lostAt = null;
  };
  const isNext = (member: Member): boolean =>
    member.linesAt >= linesAt &&
    member.linesBefore >= lines &&
    (fileBytes === 0 || member.fileBytes === fileBytes);
  for (let at = 0; at < size;) {
    const member = readHead(codec, await read(at, headBytes(codec)));
    if (member === null || !isNext(member)) {
      lostAt ??= at;
      at = await nextHead(codec, read, at + 1, size);
      continue;
    }
    if (member.linesAt > linesAt || lostAt !== null) addLost(at, member.linesBefore - lines);
    // of the last one, the end may be missing
    const bytes = Math.min(member.bytes, size - at);
    // the last one has no lines: it says how many there are
    if (member.lineBytes > 0)
      add({ at, bytes, viewBytes: member.lineBytes, lines: member.lines, isLost: false });
    linesAt = member.linesAt + member.lineBytes;
    lines = member.linesBefore + member.lines;
    ({ fileBytes } = member);
    at += bytes;
  }
  if (fileBytes === 0 || (codec.readsForeign && sections.every(({ isLost }) => isLost))) return null;
  // without its last member, nobody knows how many lines its end had
  if (linesAt < fileBytes) addLost(size, 1);
  return { ending: codec.ending, sections, viewBytes };
}

/** Where the next head is that is not damaged; the size of the file if there is none. */
async function nextHead(codec: Codec, read: ReadBytes, from: number, size: number): Promise<number> {
  const start = codec.start(0).subarray(0, 4);
  const overlap = headBytes(codec) - 1;
  for (let at = from; at < size; at += SEARCH_BYTES) {
    const bytes = await read(at, SEARCH_BYTES + overlap);
    for (let found = bytes.indexOf(start); found !== -1; found = bytes.indexOf(start, found + 1))
      if (readHead(codec, bytes.subarray(found)) !== null) return at + found;
  }
  return size;
}
