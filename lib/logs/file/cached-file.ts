import { StoredBatch } from '../../seams/batch.js';
import type { Batch, PendingBatch } from '../../seams/batch.js';
import { keyOf } from '../../seams/batch-key.js';
import type { BatchContent } from './batch-reader.js';
import { batchesBetween, heldBatches, linesIn } from './batches-in-file.js';
import { unmarkedLines } from './checksum.js';
import type { FilePiece } from './large-file.js';
import { linesBetween } from './write-cache.js';
import type { CachedFile } from './write-cache.js';

const NONE = Buffer.alloc(0);

/** A file of this run in memory. A batch is copied when its turn comes. @param logBytes its size on disk */
export function cachedBatch(runId: string, name: string, file: CachedFile, logBytes: number): StoredBatch {
  const { events, bytes: size, starts } = file;
  const parts = [...file.parts]; // the cache empties its own
  const end = { line: events, events, at: size, textAt: 0 };
  const batches = file.isShared ? batchesBetween(starts, end) : [];
  const { bytes, contexts } = unmarkedLines(file.isShared ? [] : parts);
  const about = { name, key: keyOf(runId, name, NONE) };
  const pieces = heldBatches(about, batches, ({ start, end: { at } }) =>
    unmarkedLines(linesBetween(parts, start.at, at)),
  );
  const key = (): string => keyOf(runId, name, bytes);
  return new StoredBatch({ name, key, events, bytes, contexts }, logBytes, pieces);
}

/** A file that was read. @param readPiece reads a piece of a large one */
export function readBatch(
  { name, logBytes }: PendingBatch,
  read: BatchContent,
  readPiece: (about: Pick<Batch, 'name' | 'key'>, piece: FilePiece) => Promise<Batch>,
): StoredBatch {
  const { runId, events, bytes, contexts } = read;
  const about = { name, key: keyOf(runId, name, NONE) };
  const held = heldBatches(about, read.batches, (each) => linesIn(read, each));
  const pieces = read.pieces.map((piece) => ({
    events: piece.events,
    read: async () => readPiece(about, piece),
  }));
  const key = (): string => keyOf(runId, name, bytes);
  return new StoredBatch({ name, key, events, bytes, contexts }, logBytes, [...held, ...pieces]);
}
