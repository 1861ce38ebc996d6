import { hash } from 'node:crypto';

/** Enough hexadecimal digits that no two digests meet by chance. */
const DIGEST_LENGTH = 16;

/**
 * Identifies a batch, everywhere and for ever (N8): `RUN-FILE@DIGEST`. The run, 64 random bits, distinguishes
 * directories and runs. The digest is of the events: a file may be copied while it grows, restored from a backup,
 * repaired, or name no run, and a sink that drops repeated keys must not drop other events.
 *
 * @param runId `null` for a file of an earlier version, made by hand, or damaged
 * @param bytes its events, as a sink gets them
 */
export function keyOf(runId: string | null, batchName: string, bytes: Buffer): string {
  const file = runId === null ? batchName : `${runId}-${batchName}`;
  return `${file}@${digestOf(bytes)}`;
}

/** The key of a part of a batch: `RUN-FILE#1-50@DIGEST`, or of a part of one batch of several in a file: `RUN-FILE#101-200#1-50@DIGEST`. */
export function partKey(key: string, range: string, bytes: Buffer): string {
  return `${withoutDigest(key)}${range}@${digestOf(bytes)}`;
}

/** The common part of all keys of a batch, or of a batch of several in a file, whatever its events are by now. */
export function withoutDigest(key: string): string {
  return key.replace(/@[0-9a-f]+$/, '');
}

function digestOf(bytes: Buffer): string {
  return hash('sha256', bytes, 'hex').slice(0, DIGEST_LENGTH);
}
