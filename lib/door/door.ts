import type { ForebayError } from '../base/errors.js';
import type { Forebay } from '../forebay.js';
import { SOURCES } from '../sources/registry.js';
import { RequestCounts } from './request-counts.js';

/** What a door can tell about itself. */
export interface Door {
  /** Requests by path and status, events refused by why. */
  readonly counts: RequestCounts;
  /** Open connections. */
  readonly connections: number;
  /** Connections that were answered `429` because too many were open. */
  readonly refusedConnections: number;
  /** Connections that were reset, as there were too many even for that. */
  readonly droppedConnections: number;
  /** Connections that left the fast path. */
  readonly handedOverConnections: number;
  /** Why an event would be refused now, as the error for its client; `null`: it would be taken. */
  refusal(): ForebayError | null;
}

/** Events come in process only. */
export function noDoor(forebay: Forebay): Door {
  return {
    counts: new RequestCounts(SOURCES),
    connections: 0,
    refusedConnections: 0,
    droppedConnections: 0,
    handedOverConnections: 0,
    refusal: () => forebay.unready(),
  };
}
