import { join } from 'node:path';
import { asError } from '../../../base/errors.js';
import type { Reporter } from '../../../base/reporter.js';
import { ID_WORDS } from '../../../event/event-ids.js';
import { SipHash } from '../../../event/sip-hash.js';
import { isBatchName, timeOf } from '../batch-name.js';
import type { BatchNames } from '../batch-name.js';
import { checkedText } from '../checksum.js';
import type { BatchFileName, Ending } from '../compressed/batch-file-name.js';
import { CompressedView } from '../compressed/compressed-view.js';
import { lookAtBatches } from '../directory-listing.js';
import type { DirectorySync } from '../directory-sync.js';
import { BeingWritten, withOpen } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { plainView } from '../file-view.js';
import { FILE_BOUNDS, partsOf } from '../large-file.js';
import type { Part } from '../large-file.js';
import { marksAt } from '../run-mark.js';
import { FileIds } from './file-ids.js';
import { readIdMark, sourceTag } from './id-mark.js';
import type { IdSegments } from './id-segments.js';
import type { LeftCopies } from './left-copies.js';

const LINE_FEED = 0x0a;

export interface LeftIdsOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  readonly reporter: Reporter;
  /** The names of sources with a window. */
  readonly sources: readonly string[];
  /** The longest window, in milliseconds. */
  readonly windowMs: number;
  readonly segments: IdSegments;
  /** Makes names in the log directory durable. */
  readonly logNames: DirectorySync;
  /** The names of batch files: none comes again that is in a segment. */
  readonly names: BatchNames;
}

/**
 * Opens the segments, and finds the ids in batch files that an earlier run left and that are in no segment: those that it
 * had not sealed, or just sealed. Copies take the place of those files first, so that no event is a duplicate of one that a
 * power cut takes (N14). Never rejects.
 */
export async function openIds(options: LeftIdsOptions): Promise<void> {
  const { fs, dir, reporter, sources, windowMs, segments, logNames, names: batchNames } = options;
  const copies = segments.flushes ? segments.copies : null;
  await segments.open();
  const { recorded } = segments;
  for (const name of recorded) if (isBatchName(name)) batchNames.leaveOut(name);
  const tags = new Map(sources.map((source) => [sourceTag(source), source]));
  const hash = new SipHash(segments.secret);
  const oldestMs = Date.now() - windowMs;
  try {
    const names = await lookAtBatches(fs, dir, async (files) => {
      const left: BatchFileName[] = [];
      for await (const file of files)
        if (!recorded.has(file.name) && timeOf(file.name) > oldestMs) left.push(file);
      return left;
    });
    const found = new Map<string, FileIds>();
    const flushNames = logNames.forNewName();
    for (const { name, ending } of names) {
      const path = join(dir, `${name}${ending}`);
      const read =
        ending === ''
          ? idsIn(fs, path, tags, hash, copies)
          : idsInCompressed(fs, path, ending, (part, ids) => addIds(ids, part, tags, hash));
      const ids = await read.catch((error: unknown) => {
        const text = `The ids in ${name} are forgotten: it cannot be read or made durable`;
        reporter.error('ID_WINDOW_FAILED', text, asError(error));
        return new FileIds();
      });
      if (ids.length > 0) found.set(name, ids);
    }
    if (copies !== null && found.size > 0) await flushNames();
    for (const [name, ids] of found) segments.found(name, timeOf(name), ids);
  } catch (error) {
    reporter.error('ID_WINDOW_FAILED', `The ids of batches in ${dir} are forgotten`, asError(error));
  }
}

async function idsIn(
  fs: FileSystem,
  path: string,
  tags: ReadonlyMap<number, string>,
  hash: SipHash,
  copies: LeftCopies | null,
): Promise<FileIds> {
  const addTo =
    (ids: FileIds) =>
    ({ bytes, isPartOfLine }: Part): void => {
      if (!isPartOfLine) addIds(ids, bytes, tags, hash);
    };
  return withOpen(fs, path, async (fd, stats) => {
    // another server may yet cut off what it cannot make durable
    if (!fs.tryLock(fd, true)) throw new BeingWritten(path);
    const ids = new FileIds();
    for await (const part of partsOf(plainView(fs, fd, stats.size), FILE_BOUNDS)) addTo(ids)(part);
    if (copies === null || ids.length === 0) return ids;
    // of what is in the copy: memory of the system may have let go of what is not on the device
    const durable = new FileIds();
    await copies.replace({ path, fd, stats }, addTo(durable));
    return durable;
  });
}

/** What is compressed is on the device, and so is its name: the file as it was appended was deleted after that. */
async function idsInCompressed(
  fs: FileSystem,
  path: string,
  ending: Ending,
  add: (part: Buffer<ArrayBuffer>, ids: FileIds) => void,
): Promise<FileIds> {
  return withOpen(fs, path, async (fd, { size }) => {
    const ids = new FileIds();
    const setAside = async (): Promise<void> => undefined; // it is when the batch is read
    const foreignMax = FILE_BOUNDS.wholeMax;
    const view = await CompressedView.open(fs, fd, size, ending, { foreignMax, setAside });
    for await (const { bytes, isPartOfLine } of partsOf(view, FILE_BOUNDS))
      if (!isPartOfLine) add(bytes, ids);
    return ids;
  });
}

/**
 * A damaged line has no id: its event is set aside, and one that comes again is stored. A last line that has lost no more
 * than its line feed is an event (batch-lines.ts).
 */
function addIds(
  ids: FileIds,
  lines: Buffer<ArrayBuffer>,
  tags: ReadonlyMap<number, string>,
  hash: SipHash,
): void {
  const words = new Uint32Array(ID_WORDS);
  const add = (line: Buffer<ArrayBuffer> | null): void => {
    const marks = line === null ? null : marksAt(line, 0, line.length);
    if (line === null || marks === null || marks.id === 0) return;
    const markAt = line.length - marks.run - marks.context - marks.id;
    const mark = line.subarray(markAt, markAt + marks.id);
    const source = tags.get(readIdMark(line.subarray(0, markAt), mark, hash, words));
    if (source !== undefined) ids.addWords(source, words);
  };
  let start = 0;
  for (let end = lines.indexOf(LINE_FEED); end !== -1; end = lines.indexOf(LINE_FEED, start)) {
    add(checkedText(lines.subarray(start, end)));
    start = end + 1;
  }
  const tail = lines.subarray(start);
  add(checkedText(tail) ?? checkedText(tail.subarray(0, -1)));
}
