/** Who sends a request: the holder of a key, or an address. */
export interface Client {
  /** Unique among all keys and addresses: `key meter`, `192.0.2.7`. */
  readonly id: string;
  readonly limits: ClientLimits;
}

/** How fast a client may send; `null`: as fast as its share allows. */
export interface ClientLimits {
  readonly eventsPerSecond: number | null;
  readonly bytesPerSecond: number | null;
}

export const UNLIMITED: ClientLimits = { eventsPerSecond: null, bytesPerSecond: null };

/** What clients take of the server, as of now. */
export interface ClientUsage {
  /** Clients with events in the queue, the log or the dead letters, or that are about to use up their rate. */
  readonly clients: number;
  /** The largest part of each bound that one client has, from 0 to 1. */
  readonly largest: { readonly queue: number; readonly backlog: number; readonly dead_letters: number };
}
