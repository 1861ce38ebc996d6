import { StoredBatch } from '../../seams/batch.js';
import { keyOf } from '../../seams/batch-key.js';
import { batchesBetween, heldBatches } from './batches-in-file.js';
import { unmarkedLines } from './checksum.js';
import { linesBetween } from './write-cache.js';
import type { CachedFile } from './write-cache.js';

const NONE = Buffer.alloc(0);

/** A file of this run in memory, which says how long it is, as the directory may not. A batch is copied when its turn comes. */
export function cachedBatch(runId: string, name: string, file: CachedFile): StoredBatch {
  const { events, bytes: logBytes, starts } = file;
  const parts = [...file.parts]; // the cache empties its own
  const end = { line: events, events, at: logBytes, textAt: 0 };
  const batches = file.isShared ? batchesBetween(starts, end) : [];
  const { bytes, contexts } = unmarkedLines(file.isShared ? [] : parts);
  const about = { name, key: keyOf(runId, name, NONE) };
  const pieces = heldBatches(about, batches, ({ start, end: { at } }) =>
    unmarkedLines(linesBetween(parts, start.at, at)),
  );
  const key = (): string => keyOf(runId, name, bytes);
  return new StoredBatch({ name, key, events, bytes, contexts }, logBytes, pieces);
}
