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
