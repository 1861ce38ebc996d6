import type { Batch } from './batch.js';

/** Hears which events the sink does not take, to hold their clients to it. Does not throw. */
export interface Blame {
  /** These events of a batch are among the dead letters. */
  refused(batch: Batch, letters: readonly { readonly index: number; readonly event: Buffer }[]): void;
  /** The sink has taken a batch but for these events. */
  taken(batch: Batch, refused: readonly { readonly index: number }[]): void;
  /** These events keep their batch in the log, although the sink has the others. @param places from 0 */
  held(batch: Batch, places: readonly number[]): void;
}
