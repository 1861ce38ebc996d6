import type { AppendLog } from '../append-log/append-log.js';
import type { Batch, StoredBatch } from '../append-log/batch.js';
import type { Retries } from './retries.js';
import type { RefusedEvent } from './settlement.js';
import type { Settlement } from './settler.js';

/** What came of a whole file. */
export interface FileSettlement {
  /** Its events; fewer than were read first, if some of a large file are gone since. */
  readonly events: number;
  readonly deadLettered: number;
  /** `null`: nobody knows any longer, as it is a large file. */
  readonly refused: readonly RefusedEvent[] | null;
  readonly notKept: Error | null;
}

export interface Settling {
  readonly log: AppendLog;
  readonly retries: Retries;
  readonly settle: (batch: Batch) => Promise<Settlement | null>;
}

/**
 * Settles the batch of a file, a large one piece by piece, of which one at a time is in memory. If dead letters of a piece
 * have no room, the whole file is settled again later: its pieces come to the sink again, with the same keys.
 *
 * @returns `null` if the server stops before
 */
export async function settleFile(
  batch: StoredBatch,
  { log, retries, settle }: Settling,
): Promise<FileSettlement | null> {
  if (batch.pieces.length === 0) {
    const settlement = await settle(batch);
    if (settlement === null) return null;
    const { refused, notKept } = settlement;
    return { events: batch.events, deadLettered: refused.length, refused, notKept };
  }
  let events = 0;
  let deadLettered = 0;
  for (const piece of batch.pieces) {
    const read: Batch[] = [];
    const isRead = await retries.untilDone('Could not read batch', batch, async () => {
      read.push(await log.readPiece(batch, piece));
    });
    const [part] = read;
    if (!isRead || part === undefined) return null;
    const settlement = await settle(part);
    if (settlement === null) return null;
    const { refused, notKept } = settlement;
    if (notKept !== null) return { events: batch.events, deadLettered, refused: null, notKept };
    deadLettered += refused.length;
    events += part.events;
  }
  if (events !== batch.events) log.miss(batch.events - events, 0);
  return { events, deadLettered, refused: null, notKept: null };
}
