import { systemCode } from '../errors.js';
import type { LogLines } from '../log-lines.js';
import { readBatchLines } from './batch-lines.js';
import { readExpected } from './file-system.js';
import { soundLines } from './line-mark.js';
import type { SealedBatch } from './batch.js';
import type { FileSystem } from './file-system.js';
import type { Quarantine } from './quarantine.js';
import { count } from '../words.js';

/** What a batch file gave. */
export interface BatchContent {
  /** Its sound events, as NDJSON. */
  readonly bytes: Buffer<ArrayBuffer>;
  readonly events: number;
  /** The run that wrote it, as far as it says so. */
  readonly runId: string | null;
  /** Lines set aside in the quarantine. */
  readonly quarantined: number;
  /** Whether a torn end was dropped. */
  readonly torn: boolean;
}

/**
 * Reads a batch file. Damaged lines are set aside first, a torn end is dropped; the operator is told of both.
 *
 * @param confirmGone throws if a file may be somewhere else that is not here
 * @throws the system's error where the file cannot be read or the damage not be set aside
 */
export async function readBatch(
  fs: FileSystem,
  path: string,
  batch: SealedBatch,
  quarantine: Quarantine,
  lines: LogLines,
  confirmGone: () => Promise<void>,
): Promise<BatchContent> {
  const { name, acknowledgedBytes, fileBytes, leftover } = batch;
  const file = await readExpected(fs, path, fileBytes, acknowledgedBytes, leftover).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  });
  if (file === null) {
    await confirmGone();
    lines.error('BATCH_GONE', `The batch file ${name} is gone: someone else has deleted or moved it`);
    return { bytes: Buffer.alloc(0), events: 0, runId: null, quarantined: 0, torn: false };
  }
  const sound = file.length < (acknowledgedBytes ?? 0) ? null : soundLines(file);
  if (sound !== null) return { ...sound, quarantined: 0, torn: false };
  // a file of this run was acknowledged to its end, or its failed end is cut off
  const isAcknowledged = acknowledgedBytes !== null || !leftover;
  const { bytes, events, runId, tornBytes, lastBreakLost, damaged } = readBatchLines(file, isAcknowledged);
  const aside = damaged.length > 0 ? await quarantine.setAside(name, damaged) : '';
  const content = { bytes, events, runId, quarantined: damaged.length, torn: tornBytes > 0 };
  // it was read before, with the same outcome: that was told
  if (batch.past !== null && batch.events === events) return content;
  if (damaged.length > 0) {
    const all = events + damaged.length;
    lines.error('BATCH_DAMAGED', `Damaged: ${damaged.length} of ${count(all, 'line')} of ${name}, set aside in ${aside}; the rest is sound`);
  }
  if (lastBreakLost) lines.error('BATCH_DAMAGED', `Damaged: the last line break of ${name}; the event before it is sound`);
  if (tornBytes > 0) {
    lines.warn('BATCH_TORN', `Torn end of ${name}: dropped ${count(tornBytes, 'byte')} that ${tornBytes === 1 ? 'was' : 'were'} never acknowledged`);
  }
  if (acknowledgedBytes !== null && file.length < acknowledgedBytes) {
    const missing = acknowledgedBytes - file.length;
    lines.error('BATCH_DAMAGED', `Damaged: of ${name}, ${count(missing, 'byte')} that ${missing === 1 ? 'was acknowledged is' : 'were acknowledged are'} missing`);
  }
  return content;
}

/** How many events of a batch are gone that were not missed before, as a look at its file shows. */
export function newlyGone(batch: SealedBatch, { events, quarantined }: BatchContent): number {
  if (batch.events !== null) return batch.events - events;
  return batch.past === null ? quarantined : 0;
}
