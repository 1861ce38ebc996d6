import type { ForebayError } from '../base/errors.js';
import type { Forebay } from '../forebay.js';
import type { Keys } from '../keys/keys.js';
import { SOURCES } from '../sources/registry.js';
import type { NewestEvents } from './newest-events.js';
import { RequestCounts } from './request-counts.js';
import { noFaults } from './tls-door.js';
import type { HandshakeFault } from './tls-door.js';

/** A source of a door, as operators see it. */
export interface DoorSource {
  readonly name: string;
  readonly path: string;
  readonly newest: NewestEvents;
}

/** What a door reports about itself. */
export interface Door {
  /** Requests by path and status, and refused events by reason. */
  readonly counts: RequestCounts;
  /** Keys of clients; `null`: there are none. */
  readonly keys: Keys | null;
  /** In the order in which they were declared. */
  readonly sources: readonly DoorSource[];
  /** Open connections. */
  readonly connections: number;
  /** Connections that were answered `429` because too many were open. */
  readonly refusedConnections: number;
  /** Connections that were reset because too many were being answered `429`. */
  readonly droppedConnections: number;
  /** Connections that left the fast path. */
  readonly handedOverConnections: number;
  /** Failed TLS handshakes by reason. */
  readonly failedHandshakes: ReadonlyMap<HandshakeFault, number>;
  /** When the certificate expires, in seconds since 1970; `null`: there is none. */
  readonly certificateExpirySeconds: number | null;
  /** Whether it is about to close. */
  readonly isDraining: boolean;
  /** The error that an event would get now; `null`: it would be taken. */
  refusal(): ForebayError | null;
}

/** The door of a program that sends its events in process. */
export function noDoor(forebay: Forebay): Door {
  return {
    counts: new RequestCounts(SOURCES),
    keys: null,
    sources: [],
    connections: 0,
    refusedConnections: 0,
    droppedConnections: 0,
    handedOverConnections: 0,
    failedHandshakes: noFaults(),
    certificateExpirySeconds: null,
    isDraining: false,
    refusal: () => forebay.unready(),
  };
}
