import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { plainView } from '../../lib/logs/file/file-view.js';
import type { FileView } from '../../lib/logs/file/file-view.js';
import { FILE_BOUNDS } from '../../lib/logs/file/large-file.js';
import { elsewhere, tryInspect, tryRead, tryView } from './batch-file-reading.js';
import type { FileReading } from './batch-file-reading.js';
import { EXIT } from './exit-code.js';
import type { ExitCode } from './exit-code.js';
import { isSegmentPath } from './id-window.js';
import { listDirectory } from './log-directory.js';
import { rangeIn } from '../../lib/base/batch-range.js';
import { linesIn } from './lines.js';
import { mayBeWritten, reportLock } from './lock-report.js';
import type { LockReport } from './lock-report.js';
import { printIds } from './print-ids.js';
import type { PrintOptions } from './print-options.js';
import { count } from '../../lib/base/words.js';

/** Bytes that are copied at once. */
const COPY_BYTES = 2 ** 20;

/**
 * Prints events, oldest first, or the ids of a segment. At most a part of one file is in memory.
 *
 * @throws ForebayError `LOG_DIR_UNUSABLE`, or the system's error of the output
 */
export async function print(options: PrintOptions): Promise<ExitCode> {
  const { dir, fs, names, raw, output, tell } = options;
  const { batches } = await listDirectory(fs, dir);
  const lock = await reportLock(dir);
  const isNamed = names.length > 0;
  const printed = async (name: string): Promise<FileReading<string>> => {
    if (raw) return copy(options, name);
    return isSegmentPath(name) ? printIds(options, name, lock) : printEvents(options, name, lock);
  };
  let code: ExitCode = EXIT.sound;
  for (const name of isNamed ? names : batches) {
    if (output.closed) break;
    const reading = await printed(name);
    let missing = '';
    if ('gone' in reading)
      missing = isNamed ? 'there is no such file (delivered meanwhile, or never there)' : '';
    else if ('unreadable' in reading) missing = `unreadable: ${reading.unreadable}`;
    else missing = reading.content;
    if (missing === '') continue;
    code = EXIT.damaged;
    await tell(`${name}: ${missing}`);
  }
  return code;
}

/** Prints the bytes of a file unchanged; of a compressed batch file its lines. */
async function copy({ fs, dir, output, bounds }: PrintOptions, name: string): Promise<FileReading<string>> {
  const read = async (view: FileView): Promise<string> => {
    for (let at = 0; at < view.size && !output.closed;) {
      const bytes = await view.readAt(at, COPY_BYTES);
      if (bytes.length === 0) break;
      await elsewhere(output.write(bytes));
      at += bytes.length;
    }
    return '';
  };
  if (isBatchName(name)) return tryView(fs, dir, name, bounds ?? FILE_BOUNDS, read);
  return tryRead(fs, dir, name, async (fd, size) => read(plainView(fs, fd, size)));
}

/** Prints the events of a file. Returns a text about damage that is not printed, if there is any. */
async function printEvents(
  { fs, dir, output, tell, bounds }: PrintOptions,
  name: string,
  lock: LockReport,
): Promise<FileReading<string>> {
  const range = rangeIn(name);
  let line = 0;
  const reading = await tryInspect(fs, dir, name, bounds, async (events) => {
    const wanted = range === null ? events : linesBetween(events, range.from - line, range.to - line);
    if (range !== null) line += [...linesIn(events)].length;
    if (wanted.length > 0) await output.write(wanted);
    return !output.closed && (range === null || line < range.to);
  });
  if (!('content' in reading)) return reading;
  const { torn, damaged } = reading.content;
  if (torn !== null && !mayBeWritten(lock, reading.content)) {
    await tell(`${name}: torn end of ${count(torn.length, 'byte')} left out; it was never acknowledged`);
  }
  return { content: damaged.leftOut };
}

/** Some lines of NDJSON, by their number from 0. */
function linesBetween(events: Buffer, from: number, to: number): Buffer {
  return Buffer.concat(
    [...linesIn(events)].slice(Math.max(0, from), Math.max(0, to)).map(({ bytes }) => bytes),
  );
}
