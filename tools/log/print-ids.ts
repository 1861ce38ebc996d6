import { count } from '../../lib/base/words.js';
import { ID_WORDS } from '../../lib/event/event-ids.js';
import type { IdRecord } from '../../lib/logs/file/ids/id-record.js';
import type { FileReading } from './batch-file-reading.js';
import { listSegments, mayWriteSegment, timeText, tryInspectSegment } from './id-window.js';
import type { LockReport } from './lock-report.js';
import type { PrintOptions } from './print-options.js';

/** Records that are printed at once: each may have the ids of 5,000 events. */
const RECORDS_AT_ONCE = 100;

/** Prints the ids of a segment, a line for each batch file. Returns a text about damage that is not printed, if there is any. */
export async function printIds(
  { fs, dir, output, tell, bounds }: PrintOptions,
  path: string,
  lock: LockReport,
): Promise<FileReading<string>> {
  const mayBeWritten = mayWriteSegment(lock, await listSegments(fs, dir), path);
  const reading = await tryInspectSegment(fs, dir, path, mayBeWritten, bounds, async (records) => {
    for (let from = 0; from < records.length && !output.closed; from += RECORDS_AT_ONCE)
      await output.write(
        records
          .slice(from, from + RECORDS_AT_ONCE)
          .map(lineOf)
          .join(''),
      );
    return !output.closed;
  });
  if (!('content' in reading)) return reading;
  const { torn, damaged } = reading.content;
  if (torn !== null && !mayBeWritten)
    await tell(`${path}: torn end of ${count(torn.length, 'byte')} left out; it is a write that did not end`);
  return { content: damaged.leftOut };
}

/** A record as JSON: the file, when it was sealed, and its ids by source. */
function lineOf({ file, atMs, ids }: IdRecord): string {
  const ofSources = Object.fromEntries([...ids].map(([source, words]) => [source, hexOf(words)]));
  return `${JSON.stringify({ file, at: timeText(atMs), ids: ofSources })}\n`;
}

/** Each id as the 24 digits of its hash, without the checksum of its content. */
function hexOf(words: Uint32Array): string[] {
  const ids: string[] = [];
  for (let at = 0; at < words.length; at += ID_WORDS)
    ids.push(
      [...words.subarray(at, at + ID_WORDS - 1)].map((word) => word.toString(16).padStart(8, '0')).join(''),
    );
  return ids;
}
