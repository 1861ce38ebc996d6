import type { FileSystem } from '../../lib/logs/file/file-system.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { tryInspect } from './batch-file-reading.js';
import { EXIT } from './exit-code.js';
import type { ExitCode } from './exit-code.js';
import { idWindowText, sumOfIdWindow } from './id-window.js';
import type { IdWindowSums } from './id-window.js';
import { countDeadLetters, listDirectory, listQuarantine, secondOf } from './log-directory.js';
import type { LogDirectory, QuarantineFile } from './log-directory.js';
import { lockText, mayBeWritten, reportLock } from './lock-report.js';
import type { LockReport } from './lock-report.js';
import type { Output } from './output.js';
import { retainedText, sumOfRetained } from './retained.js';
import type { RetainedSums } from './retained.js';
import { printable } from '../../lib/base/terminal-text.js';
import { count } from '../../lib/base/words.js';
import { duration } from './words.js';

interface BatchRow {
  readonly name: string;
  /** The size of the file; of a compressed one also that of its lines. */
  readonly bytes: number | null;
  readonly lineBytes: number | null;
  /** The ending of a compressed file. */
  readonly compressed: string | null;
  readonly events: number | null;
  readonly batches: number | null;
  readonly damagedLines: number;
  readonly tornBytes: number;
  readonly lastBreakLost: boolean;
  readonly ageSeconds: number;
  /** Why the file could not be read. */
  readonly unreadable: string | null;
}

interface Totals {
  /** Files of dead letters. */
  deadLetterFiles: number;
  batches: number;
  bytes: number;
  events: number;
  unreadable: number;
}

/** What there is besides batch files. */
interface Rest {
  readonly found: LogDirectory;
  readonly quarantine: readonly QuarantineFile[];
  readonly idWindow: IdWindowSums | null;
  readonly retained: RetainedSums | null;
  readonly lock: LockReport;
}

/** The form of the list: for people or for scripts. */
interface Style {
  batch(row: BatchRow): string;
  end(totals: Totals, rest: Rest): string;
}

/**
 * Lists the contents of a log directory. At most a part of one file is in memory.
 *
 * @param deadLettersTool the command of the tool for dead letters
 * @throws ForebayError `LOG_DIR_UNUSABLE`
 */
export async function list(
  fs: FileSystem,
  dir: string,
  json: boolean,
  output: Output,
  deadLettersTool: string,
  bounds?: FileBounds,
): Promise<ExitCode> {
  const found = await listDirectory(fs, dir);
  const lock = await reportLock(dir); // after the names: a file created since is not among them
  const style = json ? jsonLines() : table(dir, found, deadLettersTool);
  const totals: Totals = {
    deadLetterFiles: await countDeadLetters(fs, dir),
    batches: 0,
    bytes: 0,
    events: 0,
    unreadable: 0,
  };
  for (const name of found.batches) {
    if (output.closed) break;
    const row = await rowOf(fs, dir, name, lock, bounds);
    if (row === null) continue;
    totals.batches++;
    totals.bytes += row.bytes ?? 0;
    totals.events += row.events ?? 0;
    if (row.unreadable !== null) totals.unreadable++;
    await output.write(style.batch(row));
  }
  const quarantine = await listQuarantine(fs, dir);
  const idWindow = await sumOfIdWindow(fs, dir, lock, bounds);
  const retained = await sumOfRetained(fs, dir);
  await output.write(style.end(totals, { found, quarantine, idWindow, retained, lock }));
  return totals.unreadable + (idWindow?.unreadable ?? 0) === 0 ? EXIT.sound : EXIT.damaged;
}

/** `null`: the file is gone, so it was delivered meanwhile. */
async function rowOf(
  fs: FileSystem,
  dir: string,
  name: string,
  lock: LockReport,
  bounds: FileBounds | undefined,
): Promise<BatchRow | null> {
  const reading = await tryInspect(fs, dir, name, bounds);
  if ('gone' in reading) return null;
  const ageSeconds = Math.max(0, Math.floor(Date.now() / 1000 - secondOf(name)));
  const nothing = { name, ageSeconds, damagedLines: 0, tornBytes: 0, lastBreakLost: false, compressed: null };
  const unknown = { bytes: null, lineBytes: null, events: null, batches: null };
  if ('unreadable' in reading) return { ...nothing, ...unknown, unreadable: reading.unreadable };
  const inspection = reading.content;
  const { form, bytes: lineBytes, events, starts, damaged, torn, breakLost } = inspection;
  const isWritten = mayBeWritten(lock, inspection);
  return {
    ...nothing,
    bytes: form.fileBytes,
    lineBytes,
    compressed: form.ending === '' ? null : form.ending,
    events,
    batches: Math.max(1, starts),
    damagedLines: damaged.count,
    tornBytes: isWritten ? 0 : (torn?.length ?? 0),
    lastBreakLost: breakLost !== null && !isWritten,
    unreadable: null,
  };
}

function jsonLines(): Style {
  const lines = (objects: readonly object[]): string =>
    objects.map((object) => `${JSON.stringify(object)}\n`).join('');
  return {
    batch: (row) => lines([{ kind: 'batch', ...row }]),
    end: (totals, { found, quarantine, idWindow, retained, lock }) =>
      lines([
        ...quarantine.map((file) => ({ kind: 'quarantine', ...file })),
        ...(idWindow === null ? [] : [{ kind: 'idWindow', ...idWindow }]),
        ...(retained === null ? [] : [{ kind: 'retained', ...retained }]),
        ...others(found),
        { kind: 'lock', ...lock },
        { kind: 'totals', ...totals },
      ]),
  };
}

function others({ operations, notPlain, foreign }: LogDirectory): { kind: string; name: string }[] {
  const kinds = { operations, notPlain, foreign };
  return Object.entries(kinds).flatMap(([kind, names]) => names.map((name) => ({ kind, name })));
}

const WHAT_ELSE: Readonly<Record<string, string>> = {
  operations: 'who has sent again or dropped what',
  notPlain: 'not a plain file, left alone',
  foreign: 'not a batch file, left alone',
};

function table(dir: string, { batches }: LogDirectory, deadLettersTool: string): Style {
  const width = Math.max(4, ...batches.slice(-1000).map((name) => name.length));
  const line = (name: string, bytes: string, events: string, age: string, note: string): string =>
    `${`${name.padEnd(width)} ${bytes.padStart(11)} ${events.padStart(8)}  ${age.padEnd(7)}  ${note}`.trimEnd()}\n`;
  let head = line('NAME', 'BYTES', 'EVENTS', 'AGE', '');
  return {
    batch(row) {
      const { name, bytes, events, ageSeconds } = row;
      const text = line(name, String(bytes ?? '?'), String(events ?? '?'), duration(ageSeconds), noteOf(row));
      const before = head;
      head = '';
      return before + text;
    },
    end(totals, { found, quarantine, idWindow, retained, lock }) {
      const { deadLetterFiles, batches: number, bytes, events, unreadable } = totals;
      const lines = [
        number === 0
          ? `No batch files in ${dir}: nothing waits to be delivered`
          : `${count(number, 'batch file')}, ${count(bytes, 'byte')}, ${count(events, 'event')}` +
            (unreadable === 0 ? '' : `, and ${unreadable} of the files cannot be read`),
        ...(deadLetterFiles === 0
          ? []
          : [`${count(deadLetterFiles, 'file')} of dead letters: see ${deadLettersTool} ls`]),
        ...quarantine.map((file) => `${printable(file.name)}: ${count(file.bytes, 'byte')} of damaged lines`),
        ...(idWindow === null ? [] : [idWindowText(idWindow)]),
        ...(retained === null ? [] : [retainedText(retained)]),
        ...others(found).map(({ kind, name }) => `${printable(name)}: ${WHAT_ELSE[kind]}`),
        lockText(lock),
      ];
      return `${lines.join('\n')}\n`;
    },
  };
}

function noteOf(row: BatchRow): string {
  const { batches, damagedLines, tornBytes, lastBreakLost, unreadable, compressed, lineBytes } = row;
  if (unreadable !== null) return `unreadable: ${unreadable}`;
  const notes: string[] = [];
  if (compressed !== null) notes.push(`${compressed}, ${count(lineBytes ?? 0, 'byte')} of lines`);
  if (batches !== null && batches > 1) notes.push(`${batches} batches`);
  if (damagedLines > 0) notes.push(count(damagedLines, 'damaged line'));
  if (tornBytes > 0) notes.push(`torn end of ${count(tornBytes, 'byte')}`);
  if (lastBreakLost) notes.push('last line break lost');
  return notes.join(', ');
}
