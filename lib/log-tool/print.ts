import type { FileSystem } from '../append-log/file-system.js';
import { tryRead } from './batch-file-reading.js';
import { inspectBatch } from './batch-inspection.js';
import { EXIT } from './exit-code.js';
import type { ExitCode } from './exit-code.js';
import { listDirectory } from './log-directory.js';
import { mayBeWritten, reportLock } from './lock-report.js';
import type { LockReport } from './lock-report.js';
import type { Output } from './output.js';
import { count } from '../words.js';

export interface PrintOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  /** Batch names, or `quarantine/NAME`; none: all batch files. */
  readonly names: readonly string[];
  /** Whether to print the bytes as they are. */
  readonly raw: boolean;
  readonly output: Output;
  /** Takes a line about what is not printed. */
  readonly tell: (line: string) => Promise<void>;
}

/**
 * Prints events, oldest first. One file at a time is in memory.
 *
 * @throws ForebayError `LOG_DIR_UNUSABLE`, or the system's error of the output
 */
export async function print(options: PrintOptions): Promise<ExitCode> {
  const { fs, dir, names, output, tell } = options;
  const { batches } = await listDirectory(fs, dir);
  const lock = await reportLock(dir);
  const isNamed = names.length > 0;
  let code: ExitCode = EXIT.sound;
  for (const name of isNamed ? names : batches) {
    if (output.closed) break;
    const reading = await tryRead(fs, dir, name);
    let missing = '';
    if ('gone' in reading)
      missing = isNamed ? 'there is no such file (delivered meanwhile, or never there)' : '';
    else if ('unreadable' in reading) missing = `unreadable: ${reading.unreadable}`;
    else missing = await printFile(options, name, reading.file, lock);
    if (missing === '') continue;
    code = EXIT.damaged;
    await tell(`${name}: ${missing}`);
  }
  return code;
}

/** Says what of the file is not printed, if that is damage. */
async function printFile(
  { raw, output, tell }: PrintOptions,
  name: string,
  file: Buffer<ArrayBuffer>,
  lock: LockReport,
): Promise<string> {
  if (raw) {
    await output.write(file);
    return '';
  }
  const inspection = inspectBatch(file);
  const { text, damaged, torn } = inspection;
  await output.write(text);
  if (torn !== null && !mayBeWritten(lock, inspection)) {
    await tell(`${name}: torn end of ${count(torn.length, 'byte')} left out; it was never acknowledged`);
  }
  return damaged.length === 0 ? '' : `${count(damaged.length, 'damaged line')} left out (--raw prints them)`;
}
