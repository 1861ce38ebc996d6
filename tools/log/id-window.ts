import { join } from 'node:path';
import { asError, systemCode } from '../../lib/base/errors.js';
import { printable } from '../../lib/base/terminal-text.js';
import { count } from '../../lib/base/words.js';
import { lookThrough } from '../../lib/logs/file/directory-entries.js';
import { readAll, statsOf } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import type { IdRecord } from '../../lib/logs/file/ids/id-record.js';
import { checkOf, SECRET_FILE, secretIn } from '../../lib/logs/file/ids/id-secret.js';
import { plainView } from '../../lib/logs/file/file-view.js';
import { ID_WINDOW, isSegmentName } from '../../lib/logs/file/ids/segment-name.js';
import { FILE_BOUNDS, partsOf } from '../../lib/logs/file/large-file.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { elsewhere, tryRead } from './batch-file-reading.js';
import type { FileReading } from './batch-file-reading.js';
import type { LockReport } from './lock-report.js';
import { unusable } from './log-directory.js';
import { SegmentInspection } from './segment-inspection.js';

/** A secret is shorter than this, in bytes. */
const SECRET_BYTES_MAX = 64;

/** The secret of the ids: what tells it from others, or what is wrong with it. */
export type SecretReading = { readonly check: string } | { readonly wrong: string };

/**
 * The segments of the id window, oldest first, as paths in the log directory; `null` if it has none.
 *
 * @throws ForebayError `LOG_DIR_UNUSABLE`
 */
export async function listSegments(fs: FileSystem, logDir: string): Promise<string[] | null> {
  const dir = join(logDir, ID_WINDOW);
  const look = lookThrough(fs, dir, async (entries) => {
    const names: string[] = [];
    for await (const entry of entries) {
      if (entry.isFile() && isSegmentName(entry.name)) names.push(segmentPath(entry.name));
    }
    return names.toSorted();
  });
  return look.catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null;
    throw unusable(dir, error);
  });
}

/** The path of a segment in the log directory. */
export function segmentPath(name: string): string {
  return `${ID_WINDOW}/${name}`;
}

/** Whether it is a path of that kind. */
export function isSegmentPath(path: string): boolean {
  return path.startsWith(`${ID_WINDOW}/`) && isSegmentName(path.slice(ID_WINDOW.length + 1));
}

/** Reads the secret. A server that starts writes it before the first segment: list those first. */
export async function readSecret(fs: FileSystem, logDir: string): Promise<SecretReading> {
  const path = join(logDir, ID_WINDOW, SECRET_FILE);
  try {
    const stats = await statsOf(fs, path);
    if (stats === null) return { wrong: 'missing' };
    if (!stats.isFile()) return { wrong: 'not a plain file' }; // a pipe would wait for a writer
    const secret = secretIn(await readAll(fs, path, SECRET_BYTES_MAX));
    return secret === null ? { wrong: 'malformed' } : { check: checkOf(secret) };
  } catch (error) {
    return { wrong: `unreadable: ${asError(error).message}` };
  }
}

/**
 * Inspects a segment. At most a part of it is in memory.
 *
 * @param mayBeWritten whether its end may be just being written
 * @param use gets the records of each part in order, and returns whether to go on
 */
export async function tryInspectSegment(
  fs: FileSystem,
  logDir: string,
  path: string,
  mayBeWritten: boolean,
  bounds: FileBounds = FILE_BOUNDS,
  use?: (records: readonly IdRecord[]) => Promise<boolean>,
): Promise<FileReading<SegmentInspection>> {
  return tryRead(fs, logDir, path, async (fd, size) => {
    const inspection = new SegmentInspection(mayBeWritten);
    for await (const part of partsOf(plainView(fs, fd, size), bounds)) {
      const records = inspection.add(part);
      if (use !== undefined && !(await elsewhere(use(records)))) break;
    }
    return inspection;
  });
}

/** Whether a server may be writing a segment right now: it writes only to the newest one. */
export function mayWriteSegment(
  { state }: LockReport,
  segments: readonly string[] | null,
  path: string,
): boolean {
  return state !== 'free' && state !== 'missing' && segments?.at(-1) === path;
}

/** What an id window holds. */
export interface IdWindowSums {
  readonly segments: number;
  readonly bytes: number;
  /** How many ids of each source. */
  readonly ids: Readonly<Record<string, number>>;
  /** When the oldest and the newest of its batch files were sealed; `null`: it holds none. */
  readonly oldest: string | null;
  readonly newest: string | null;
  readonly damagedLines: number;
  readonly tornBytes: number;
  /** Segments that cannot be read. */
  readonly unreadable: number;
}

/** Reads all segments of the id window; `null` if there is none. */
export async function sumOfIdWindow(
  fs: FileSystem,
  logDir: string,
  lock: LockReport,
  bounds?: FileBounds,
): Promise<IdWindowSums | null> {
  const paths = await listSegments(fs, logDir);
  if (paths === null) return null;
  const ids = new Map<string, number>();
  let [oldestMs, newestMs] = [Infinity, -Infinity];
  const sum = { segments: 0, bytes: 0, damagedLines: 0, tornBytes: 0, unreadable: 0 };
  for (const path of paths) {
    const mayBeWritten = mayWriteSegment(lock, paths, path);
    const reading = await tryInspectSegment(fs, logDir, path, mayBeWritten, bounds);
    if ('gone' in reading) continue;
    sum.segments++;
    if ('unreadable' in reading) {
      sum.unreadable++;
      continue;
    }
    const segment = reading.content;
    sum.bytes += segment.bytes;
    sum.damagedLines += segment.damaged.count;
    if (!mayBeWritten) sum.tornBytes += segment.torn?.length ?? 0;
    oldestMs = Math.min(oldestMs, segment.oldestMs);
    newestMs = Math.max(newestMs, segment.newestMs);
    for (const [source, some] of segment.ids) ids.set(source, (ids.get(source) ?? 0) + some);
  }
  const [oldest, newest] = [timeText(oldestMs), timeText(newestMs)];
  const bySource = [...ids].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { ...sum, ids: Object.fromEntries(bySource), oldest, newest };
}

/** The same as a line of text. */
export function idWindowText(sums: IdWindowSums): string {
  const { segments, bytes, ids, oldest, newest, damagedLines, tornBytes, unreadable } = sums;
  const ofSources = Object.entries(ids).map(
    ([source, some]) => `${count(some, 'id')} of ${printable(source)}`,
  );
  const parts = [
    `${ofSources.length === 0 ? 'no ids' : ofSources.join(', ')} in ${count(segments, 'segment')}`,
    count(bytes, 'byte'),
  ];
  if (oldest !== null) parts.push(`${oldest} to ${newest}`);
  if (damagedLines > 0) parts.push(count(damagedLines, 'damaged line'));
  if (tornBytes > 0) parts.push(`torn end of ${count(tornBytes, 'byte')}`);
  if (unreadable > 0) parts.push(`and ${unreadable} of the segments cannot be read`);
  return `${ID_WINDOW}/: ${parts.join(', ')}`;
}

/** A time as ISO 8601; `null` if it is none. */
export function timeText(ms: number): string | null {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}
