import { join } from 'node:path';
import { asError } from '../../../base/errors.js';
import type { Reporter } from '../../../base/reporter.js';
import { count } from '../../../base/words.js';
import { readAll } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { lookAtFiles } from '../plain-files.js';
import { readSegment } from './id-record.js';
import type { IdRecord } from './id-record.js';
import { checkOf } from './id-secret.js';
import { isCopyName } from './copy-name.js';
import { flushFile } from './left-copies.js';
import { SegmentSums } from './segment-file.js';
import { isSegmentName } from './segment-name.js';

export interface SegmentReading {
  readonly fs: FileSystem;
  readonly reporter: Reporter;
  readonly dir: string;
  readonly secret: Buffer;
  /** The longest window, in milliseconds. */
  readonly windowMs: number;
  /** Whether ids are flushed before their batch file is deleted. */
  readonly flushes: boolean;
}

/** Reads a segment of an earlier run: its records that are within the window. `null`: it cannot be read, and stays. */
export async function readSegmentFile(
  { fs, reporter, dir, secret, windowMs, flushes }: SegmentReading,
  name: string,
): Promise<{ readonly sums: SegmentSums; readonly records: readonly IdRecord[] } | null> {
  const path = join(dir, name);
  const sums = new SegmentSums(name);
  try {
    // batch files are deleted because of it, and a run with `--fsync never` did not flush it
    if (flushes) await flushFile(fs, path);
    const { secretCheck, records, damagedLines } = readSegment(await readAll(fs, path, null));
    if (secretCheck !== null && secretCheck !== checkOf(secret)) {
      reporter.warn('ID_WINDOW_DAMAGED', `The ids in ${path} are forgotten: they are of another secret`);
      return { sums, records: [] };
    }
    if (damagedLines > 0) {
      const text = `Damaged: ${count(damagedLines, 'line')} of ${path}; events that come again may be stored twice`;
      reporter.warn('ID_WINDOW_DAMAGED', text);
    }
    for (const record of records) sums.add(record);
    const oldestMs = Date.now() - windowMs;
    return { sums, records: records.filter(({ atMs }) => atMs > oldestMs) };
  } catch (error) {
    const text = `The ids in ${path} are forgotten: it cannot be read or flushed`;
    reporter.error('ID_WINDOW_FAILED', text, asError(error));
    return null;
  }
}

/** The names of the segments in a directory, oldest first, and of copies that killed runs have left. */
export async function windowFiles(
  fs: FileSystem,
  dir: string,
): Promise<{ readonly segments: string[]; readonly copies: readonly string[] }> {
  return lookAtFiles(fs, dir, async (files) => {
    const segments: string[] = [];
    const copies: string[] = [];
    for await (const name of files) {
      if (isSegmentName(name)) segments.push(name);
      else if (isCopyName(name)) copies.push(name);
    }
    return { segments: segments.toSorted(), copies };
  });
}

/** Gives the records of a segment that was read before. One that cannot be read now is reported, and forgotten. */
export async function giveRecords(
  { fs, reporter, dir, windowMs }: SegmentReading,
  name: string,
  give: (record: IdRecord) => void,
): Promise<void> {
  const path = join(dir, name);
  const oldestMs = Date.now() - windowMs;
  try {
    for (const record of readSegment(await readAll(fs, path, null)).records)
      if (record.atMs > oldestMs) give(record);
  } catch (error) {
    reporter.error('ID_WINDOW_FAILED', `The ids in ${path} are forgotten: it cannot be read`, asError(error));
  }
}
