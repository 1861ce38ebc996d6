import { count } from '../../lib/base/words.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { SECRET_FILE } from '../../lib/logs/file/ids/id-secret.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import type { FileReading } from './batch-file-reading.js';
import { placeText } from './damaged-lines.js';
import { listSegments, mayWriteSegment, readSecret, segmentPath, tryInspectSegment } from './id-window.js';
import type { SecretReading } from './id-window.js';
import type { LockReport } from './lock-report.js';
import type { Output } from './output.js';
import type { SegmentInspection } from './segment-inspection.js';

interface Found {
  segments: number;
  ids: number;
  bytes: number;
  damagedFiles: number;
  damagedLines: number;
  strange: number;
  torn: number;
  unreadable: number;
  gone: number;
}

/** The result for an id window. */
export interface IdsVerified {
  readonly isSound: boolean;
  /** A line that sums it up. */
  readonly summary: string;
}

/** Reads every segment of the id window and reports each damage with its place; `null` if there is none. */
export async function verifyIds(
  fs: FileSystem,
  dir: string,
  lock: LockReport,
  output: Output,
  bounds?: FileBounds,
): Promise<IdsVerified | null> {
  const paths = await listSegments(fs, dir);
  if (paths === null) return null;
  const secret = await readSecret(fs, dir);
  const found: Found = {
    segments: 0,
    ids: 0,
    bytes: 0,
    damagedFiles: 0,
    damagedLines: 0,
    strange: 0,
    torn: 0,
    unreadable: 0,
    gone: 0,
  };
  // a crash may have left a folder whose secret is missing or cut off, and no segments
  const isSecretLost = 'wrong' in secret && paths.length > 0;
  if ('wrong' in secret) {
    const end = isSecretLost ? '; all ids are forgotten' : ' (warning)';
    await output.write(`${segmentPath(SECRET_FILE)}: ${secret.wrong}${end}\n`);
  }
  for (const path of paths) {
    const mayBeWritten = mayWriteSegment(lock, paths, path);
    const reading = await tryInspectSegment(fs, dir, path, mayBeWritten, bounds);
    for (const line of look(reading, secret, mayBeWritten, found)) await output.write(`${path}: ${line}\n`);
  }
  const isSound = !isSecretLost && found.damagedFiles + found.strange + found.unreadable === 0;
  return { isSound, summary: summary(found, isSecretLost) };
}

/** Counts the contents of a segment, and describes its damage. */
function look(
  reading: FileReading<SegmentInspection>,
  secret: SecretReading,
  mayBeWritten: boolean,
  found: Found,
): string[] {
  if ('gone' in reading) {
    found.gone++;
    return [];
  }
  found.segments++;
  if ('unreadable' in reading) {
    found.unreadable++;
    return [`unreadable: ${reading.unreadable}`];
  }
  const { bytes, allIds, damaged, torn, secretCheck, hasNoSecret } = reading.content;
  found.ids += allIds;
  found.bytes += bytes;
  found.damagedLines += damaged.count;
  if (damaged.count > 0) found.damagedFiles++;
  const lines = damaged.texts;
  const isOther = secretCheck !== null && 'check' in secret && secret.check !== secretCheck;
  if (hasNoSecret || isOther) {
    if (damaged.count === 0) found.strange++;
    const what = isOther ? `another secret than the one in ${segmentPath(SECRET_FILE)}` : 'no secret';
    lines.push(`${placeText({ line: 1, at: 0 })}: it names ${what}; all ids of the file are forgotten`);
  }
  if (torn !== null && mayBeWritten) {
    lines.push(`${placeText(torn)}: the end is being written, or was when a write failed (no damage)`);
  } else if (torn !== null) {
    found.torn++;
    lines.push(
      `${placeText(torn)}: torn end of ${count(torn.length, 'byte')}: a write that did not end (warning)`,
    );
  }
  return lines;
}

function summary(found: Found, isSecretLost: boolean): string {
  const { segments, ids, bytes, damagedFiles, damagedLines, strange, torn, unreadable, gone } = found;
  const said: string[] = [];
  if (damagedFiles > 0)
    said.push(`${count(damagedFiles, 'file is', 'files are')} damaged (${count(damagedLines, 'line')})`);
  if (strange > 0) said.push(`${count(strange, 'file is', 'files are')} of another secret`);
  if (unreadable > 0) said.push(`${count(unreadable, 'file')} cannot be read`);
  if (isSecretLost) said.push('the secret is lost');
  if (said.length === 0) said.push('all are sound');
  if (torn > 0) said.push(count(torn, 'torn end'));
  if (gone > 0) said.push(`${count(gone, 'file')} went meanwhile`);
  return `Read ${count(segments, 'segment')} of the id window with ${count(ids, 'id')}, ${count(bytes, 'byte')}: ${said.join(', ')}`;
}
