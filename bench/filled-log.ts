import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AppendLog } from '../lib/logs/file/append-log.js';
import { markedLine } from '../lib/logs/file/checksum.js';
import { Reporter } from '../lib/base/reporter.js';
import { NumberedEvent } from './numbered-event.js';

const execute = promisify(execFile);

/** So many are written at once; then the next begin. */
const FILES_AT_ONCE = 100;

/**
 * Fills a folder with batch files, with Forebay's own append log, as if a server had taken the events and its sink
 * none. They are on the device when this resolves, so that nobody measures the system writing them.
 */
export async function fillLog(
  dir: string,
  events: number,
  eventsPerFile: number,
  signal: AbortSignal,
): Promise<void> {
  const log = await AppendLog.open({ dir, fsync: 'never', reporter: new Reporter() });
  const event = new NumberedEvent((text) => text);
  const fill = async (from: number): Promise<void> => {
    const lines: string[] = [];
    for (let number = from; number < Math.min(from + eventsPerFile, events); number++) {
      event.number = number;
      lines.push(markedLine(event.bytes.toString('latin1')));
    }
    const file = await log.writer.create();
    await log.writer.append(file, Buffer.from(lines.join('')), lines.length);
    log.writer.seal(file, 'size');
  };
  for (let from = 0; from < events;) {
    signal.throwIfAborted();
    const files: Promise<void>[] = [];
    for (; from < events && files.length < FILES_AT_ONCE; from += eventsPerFile) files.push(fill(from));
    await Promise.all(files);
  }
  await log.close();
  await execute('sync');
}
