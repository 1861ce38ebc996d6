import type { FileSystem } from '../../lib/logs/file/file-system.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { tryInspect } from './batch-file-reading.js';
import type { FileReading } from './batch-file-reading.js';
import type { BatchInspection } from './batch-inspection.js';
import { placeText } from './damaged-lines.js';
import { EXIT } from './exit-code.js';
import type { ExitCode } from './exit-code.js';
import { listDirectory, listQuarantine } from './log-directory.js';
import { lockText, mayBeWritten, reportLock } from './lock-report.js';
import type { LockReport } from './lock-report.js';
import type { Output } from './output.js';
import { verifyIds } from './verify-ids.js';
import { count } from '../../lib/base/words.js';

interface Found {
  files: number;
  events: number;
  bytes: number;
  damagedFiles: number;
  damagedLines: number;
  lostBreaks: number;
  torn: number;
  unreadable: number;
  gone: number;
}

/**
 * Reads every batch file and every segment of the id window, and reports each damage with its place.
 *
 * @throws ForebayError `LOG_DIR_UNUSABLE`
 */
export async function verify(
  fs: FileSystem,
  dir: string,
  output: Output,
  bounds?: FileBounds,
): Promise<ExitCode> {
  const listing = await listDirectory(fs, dir);
  const lock = await reportLock(dir); // after the names: a file created since is not among them
  const found: Found = {
    files: 0,
    events: 0,
    bytes: 0,
    damagedFiles: 0,
    damagedLines: 0,
    lostBreaks: 0,
    torn: 0,
    unreadable: 0,
    gone: 0,
  };
  for (const name of listing.notPlain)
    await output.write(`${name}: not a plain file, left alone (warning)\n`);
  for (const name of listing.batches) {
    const reading = await tryInspect(fs, dir, name, bounds);
    for (const line of look(reading, lock, found)) await output.write(`${name}: ${line}\n`);
  }
  const aside = await listQuarantine(fs, dir);
  const set =
    aside.length === 0 ? '' : `${count(aside.length, 'file')} in quarantine/: damage that was set aside\n`;
  const ids = await verifyIds(fs, dir, lock, output, bounds);
  const ofIds = ids === null ? '' : `${ids.summary}\n`;
  await output.write(`${summary(found)}\n${ofIds}${set}${lockText(lock)}\n`);
  return found.damagedFiles + found.unreadable === 0 && ids?.isSound !== false ? EXIT.sound : EXIT.damaged;
}

/** Counts the contents of a file, and describes its damage. */
function look(reading: FileReading<BatchInspection>, lock: LockReport, found: Found): string[] {
  if ('gone' in reading) {
    found.gone++;
    return [];
  }
  found.files++;
  if ('unreadable' in reading) {
    found.unreadable++;
    return [`unreadable: ${reading.unreadable}`];
  }
  const inspection = reading.content;
  const { bytes, events, damaged, torn, breakLost } = inspection;
  found.events += events;
  found.bytes += bytes;
  found.damagedLines += damaged.count;
  const isWritten = mayBeWritten(lock, inspection);
  const lines = damaged.texts;
  const end = torn ?? breakLost;
  if (end !== null && isWritten) {
    lines.push(`${placeText(end)}: the end is being written, or was when a write failed (no damage)`);
  } else if (torn !== null) {
    found.torn++;
    const what = `torn end of ${count(torn.length, 'byte')} that were never acknowledged`;
    lines.push(`${placeText(torn)}: ${what} (warning)`);
  } else if (breakLost !== null) {
    found.lostBreaks++;
    lines.push(`${placeText(breakLost)}: the last line break is lost; the event before it is sound`);
  }
  if (damaged.count > 0 || (breakLost !== null && !isWritten)) found.damagedFiles++;
  return lines;
}

function summary(found: Found): string {
  const { files, events, bytes, damagedFiles, damagedLines, lostBreaks, torn, unreadable, gone } = found;
  const said: string[] = [];
  if (damagedFiles > 0) {
    const breaks = lostBreaks === 0 ? '' : `, ${count(lostBreaks, 'lost line break')}`;
    said.push(
      `${count(damagedFiles, 'file is', 'files are')} damaged (${count(damagedLines, 'line')}${breaks})`,
    );
  }
  if (unreadable > 0) said.push(`${count(unreadable, 'file')} cannot be read`);
  if (said.length === 0) said.push('all are sound');
  if (torn > 0) said.push(count(torn, 'torn end'));
  if (gone > 0) said.push(`${count(gone, 'file')} went meanwhile`);
  return `Read ${count(files, 'batch file')} with ${count(events, 'sound event')}, ${count(bytes, 'byte')}: ${said.join(', ')}`;
}
