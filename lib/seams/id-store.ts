import type { PipelineSettings } from '../settings/pipeline-settings.js';

/** The ids of events that are in the log, or that were in it, as far as they are within the window. */
export interface IdStore {
  /** The secret of the hash of ids, 16 bytes. Ids of the store are hashed with it. */
  readonly secret: Uint8Array;
  /** How often ids could not be kept: their events may be stored again after a restart. */
  readonly failures: number;
  /** How long ids are kept in fact, in seconds; `null`, or without it: as long as they are to be. */
  readonly keptSeconds?: number | null;
  /**
   * Calls `each` with the ids that earlier runs left, oldest first. Called once, before the first append. Never rejects:
   * ids that cannot be read are reported and missing, so their events may be stored again.
   *
   * @param each `words` has `ID_WORDS` for each id; `atMs` is when their events came, in milliseconds since 1970
   */
  recall(each: (source: string, words: Uint32Array, atMs: number) => void): Promise<void>;
}

/** How long ids of a source are kept, and what happens to an event whose id is known. */
export interface IdRule {
  /** The name of the source. */
  readonly source: string;
  /** How long, in milliseconds. */
  readonly windowMs: number;
  /** An event whose id is known and whose content is not: it is a duplicate as well, or refused with `409`. */
  readonly conflict: 'accept' | 'reject';
}

/** The name of the source of plain events, and of events that are written in process. */
export const EVENTS_SOURCE = 'events';

/** The window of that source. */
export function idRuleOf({ idWindowMs, idConflict }: PipelineSettings): IdRule {
  return { source: EVENTS_SOURCE, windowMs: idWindowMs ?? 0, conflict: idConflict };
}
