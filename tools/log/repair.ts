import { join } from 'node:path';
import { LOCK_FILE, lockDirectory } from '../../lib/logs/file/directory-lock.js';
import type { DirectoryLock } from '../../lib/logs/file/directory-lock.js';
import { flushDirectory } from '../../lib/logs/file/file-system.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { asError, ForebayError } from '../../lib/base/errors.js';
import { doRepair, planRepair, repairTexts } from './batch-repair.js';
import { EXIT } from './exit-code.js';
import type { ExitCode } from './exit-code.js';
import { listDirectory, refuseOtherUser, unusable } from './log-directory.js';
import type { LogDirectory } from './log-directory.js';
import { reportLock } from './lock-report.js';
import { recorded } from './operations.js';
import type { Output } from './output.js';
import { remove } from './tool-file-system.js';
import type { ToolFileSystem } from './tool-file-system.js';
import { count } from '../../lib/base/words.js';

export interface RepairOptions {
  readonly fs: ToolFileSystem;
  readonly dir: string;
  /** Whether to say only what would be done. */
  readonly dryRun: boolean;
  readonly output: Output;
  readonly bounds?: FileBounds;
}

interface Tally {
  files: number;
  repaired: number;
  asideLines: number;
  leftovers: number;
  readonly failures: string[];
}

/**
 * Sets damage aside and leaves batch files that are sound, while no server can use the directory. Who does it is
 * written down.
 *
 * @throws ForebayError `LOG_DIR_UNUSABLE`, `LOG_DIR_LOCKED`
 */
export async function repair(options: RepairOptions): Promise<ExitCode> {
  const { fs, dir, dryRun, output } = options;
  const before = await listDirectory(fs, dir);
  if (!before.hasLockFile && before.batches.length === 0 && before.leftovers.length === 0) {
    await output.write(`No batch files in ${dir}: nothing to repair\n`); // and no lock file left behind in it
    return EXIT.sound;
  }
  if (dryRun) {
    await refuseIfHeld(dir);
    return report(options, await repairAll(options, before));
  }
  const lock = await takeLock(options, before.hasLockFile);
  try {
    return await repairRecorded(options, await listDirectory(fs, dir));
  } finally {
    await lock.release();
  }
}

/** A dry run leaves the lock alone: it makes no file. */
async function refuseIfHeld(dir: string): Promise<void> {
  const { state, owner } = await reportLock(dir);
  if (state !== 'held') return;
  const message = `Another server uses the log directory ${dir}: ${owner ?? 'of unknown process id'}`;
  throw new ForebayError('LOG_DIR_LOCKED', { message });
}

async function takeLock({ fs, dir, output }: RepairOptions, hasLockFile: boolean): Promise<DirectoryLock> {
  try {
    await refuseOtherUser(fs, hasLockFile ? join(dir, LOCK_FILE) : dir, 'repair');
    const lock = await lockDirectory(fs, dir);
    // a server that starts now is told of this process
    const { runId, sink } = lock.before;
    await lock.note({ runId, sink }).catch(async (error: unknown) => {
      await output.write(`Could not write ${LOCK_FILE} (${asError(error).message}); the lock holds\n`);
    });
    return lock;
  } catch (error) {
    throw unusable(dir, error);
  }
}

/** Repairs, with a line about it before the first change and one at the end. */
async function repairRecorded(options: RepairOptions, listing: LogDirectory): Promise<ExitCode> {
  const { fs, dir, output } = options;
  const selection = { reason: null, names: [] };
  const counts = { files: listing.batches.length, leftovers: listing.leftovers.length };
  const { tally, failures } = await recorded(
    fs,
    dir,
    { what: 'repair', selection, url: null, counts },
    async () => {
      const done = await repairAll(options, listing);
      const { repaired: files, asideLines: lines, leftovers } = done;
      return { tally: done, failures: done.failures, counts: { files, lines, leftovers } };
    },
  );
  const unwritten = failures.slice(tally.failures.length); // the others were told at their file
  for (const failure of unwritten) await output.write(`${failure}\n`);
  const exitCode = await report(options, tally);
  return unwritten.length === 0 ? exitCode : EXIT.damaged;
}

async function report({ dryRun, output }: RepairOptions, tally: Tally): Promise<ExitCode> {
  await output.write(`${summary(tally, dryRun)}\n`);
  return tally.failures.length === 0 ? EXIT.sound : EXIT.damaged;
}

async function repairAll(options: RepairOptions, listing: LogDirectory): Promise<Tally> {
  const { fs, dir, dryRun, output } = options;
  const tally: Tally = { files: 0, repaired: 0, asideLines: 0, leftovers: 0, failures: [] };
  for (const name of listing.notPlain) await output.write(`${name}: not a plain file, left alone\n`);
  for (const name of listing.leftovers) {
    await step(options, tally, name, async () => {
      if (!dryRun) await remove(fs, join(dir, name));
      if (!dryRun) await flushDirectory(fs, dir);
      tally.leftovers++;
      return ['removed: left by a repair that did not end'];
    });
  }
  for (const name of listing.batches) {
    await step(options, tally, name, () => repairOne(options, tally, name));
  }
  return tally;
}

/** One file's repair; an error is told and counted, and the others go on. */
async function step(
  { dryRun, output }: RepairOptions,
  tally: Tally,
  name: string,
  work: () => Promise<string[]>,
): Promise<void> {
  let texts: string[];
  try {
    texts = await work();
  } catch (error) {
    const failure = `could not be repaired: ${asError(error).message}`;
    tally.failures.push(failure);
    await output.write(`${name}: ${failure}\n`);
    return;
  }
  for (const text of texts) await output.write(`${name}: ${dryRun ? 'to do: ' : ''}${text}\n`);
}

async function repairOne(options: RepairOptions, tally: Tally, name: string): Promise<string[]> {
  const reading = await planRepair(options, name);
  if ('gone' in reading) return [];
  tally.files++;
  if ('unreadable' in reading) throw new Error(`unreadable: ${reading.unreadable}`);
  const { content: plan } = reading;
  if (plan === null) return [];
  const asides = options.dryRun ? [] : await doRepair(options, plan);
  tally.repaired++;
  tally.asideLines += plan.inspection.damagedLines;
  return repairTexts(plan, asides);
}

function summary({ files, repaired, asideLines, failures }: Tally, dryRun: boolean): string {
  const done = dryRun ? 'would be repaired' : 'repaired';
  const lines = asideLines === 0 ? '' : ` (${count(asideLines, 'line')} set aside)`;
  const after = dryRun ? 'nothing was changed' : 'all are sound now';
  const end = failures.length === 0 ? after : `${failures.length} could not be`;
  return `${repaired} of ${count(files, 'batch file')} ${done}${lines}; ${end}`;
}
