import { Batch } from '../../lib/seams/batch.js';

const RUN_ID = '0123456789abcdef';

/** A batch as a sink gets it, of these bytes. */
export function batchOfBytes(
  bytes: Buffer<ArrayBuffer>,
  events: number,
  name: string = 'batch_20250101_000000_1.jsonl',
): Batch {
  return new Batch({ name, key: `${RUN_ID}-${name}`, events, bytes });
}

/** The same, of these lines. */
export function batchOfLines(lines: readonly string[], name?: string): Batch {
  return batchOfBytes(Buffer.from(lines.map((line) => `${line}\n`).join('')), lines.length, name);
}
