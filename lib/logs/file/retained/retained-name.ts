import { compareBatchNames, isBatchName, timeOf } from '../batch-name.js';

/** The folder of the retained files. */
export const RETAINED = 'retained';

/** The file of a settled batch, or of several, that is kept. */
export interface RetainedName {
  /** Its name in this folder: `batch_20261124_000545_1.settled_20261124_000601.jsonl`. */
  readonly file: string;
  /** The name of its batch file: when its first event came. */
  readonly batch: string;
  /** When it was settled, in milliseconds since 1970: seconds in the name. */
  readonly settledMs: number;
}

/** The number of another file of the same name and second, and the end of one that is compressed. */
const PATTERN = /^(batch_\d{8}_\d{6}_\d+)\.settled_(\d{8}_\d{6})(?:_\d+)?\.jsonl(?:\.gz|\.zst)?$/;
const COMPRESSED = /\.(?:gz|zst)$/;
const END = /\.jsonl(\.gz|\.zst)?$/;

/**
 * The name of a file in the folder. With the time of its settlement it is found by age in a listing, and comes again only
 * within that second.
 *
 * @param name of the batch file, compressed or not
 * @param number of files of this name and second
 */
export function retainedName(name: string, settledMs: number, number: number): string {
  const [day = '', time = ''] = new Date(settledMs).toISOString().slice(0, 19).split('T');
  const settled = `${day.replaceAll('-', '')}_${time.replaceAll(':', '')}`;
  return name.replace(END, `.settled_${settled}${number === 1 ? '' : `_${number}`}.jsonl$1`);
}

/** `null` for any name that the log would not give. */
export function parseRetained(file: string): RetainedName | null {
  const [, start, settled] = PATTERN.exec(file) ?? [];
  if (start === undefined) return null;
  const batch = `${start}.jsonl`;
  const ofSettled = `batch_${settled}_0.jsonl`;
  return isBatchName(batch) && isBatchName(ofSettled) ? { file, batch, settledMs: timeOf(ofSettled) } : null;
}

/** The name of a file as it was before it was compressed: both are there while one takes the place of the other. */
export function uncompressed(file: string): string {
  return file.replace(COMPRESSED, '');
}

/** The order of deletion: who was settled first goes first. */
export function bySettled(a: RetainedName, b: RetainedName): number {
  return a.settledMs - b.settledMs || byArrival(a, b);
}

/** The order of replay. It is the same for a file whether it is compressed or not. */
export function byArrival(a: RetainedName, b: RetainedName): number {
  return compareBatchNames(a.batch, b.batch) || compareTexts(uncompressed(a.file), uncompressed(b.file));
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
