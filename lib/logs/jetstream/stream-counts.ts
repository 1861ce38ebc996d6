import { DrainRate } from '../../base/drain-rate.js';
import type { LogReplicas } from '../../seams/event-log.js';
import type { Look } from './stream-watch.js';

/** Under a steady load no look is sharp. So one counts after this many, and is off by what happened during it. */
const BLURRED_MAX = 5;

/** The counts of the log: of the whole stream, as of the last look and what this instance has done since (N12). */
export class StreamCounts {
  pendingEvents = 0;
  pendingBytes = 0;
  /** Damaged events that this instance has set aside. */
  quarantined = 0;
  /** What was there before counts for whoever took it. */
  readonly recoveredEvents = 0;
  readonly torn = 0;
  readonly leftoverBatches = 0;
  readonly unreadBatches = 0;
  /** How fast all instances take off it. */
  readonly drain = new DrainRate();
  replicas: LogReplicas | null = null;
  /** Whether this instance has changed something since the last look started: nobody knows whether the look has it. */
  #hasChanged = false;
  /** Looks in a row of which that is true. */
  #blurred = 0;
  #last: Look | null = null;
  /** When this instance last put an event into an empty stream, in milliseconds since 1970. */
  #appendedAtMs = Date.now();

  get oldestBornMs(): number | null {
    if (this.pendingEvents <= 0) return null;
    const atMs = this.#last?.oldestAtMs ?? this.#appendedAtMs;
    return performance.now() - Math.max(0, Date.now() - atMs);
  }

  miss(events: number, bytes: number): void {
    this.quarantined += events;
    this.changed(-events, -bytes);
  }

  /** Events came into the stream by this instance, or left it. */
  protected changed(events: number, bytes: number): void {
    if (this.pendingEvents <= 0) this.#appendedAtMs = Date.now();
    this.pendingEvents += events;
    this.pendingBytes += bytes;
    this.#hasChanged = true;
  }

  protected lookStarts(): void {
    this.#hasChanged = false;
  }

  /** Nobody answers: what was known of the servers is known no longer. */
  protected lostSight(): void {
    if (this.replicas === null) return;
    const servers = this.replicas.servers.map((each) => ({ ...each, isLeader: false, isCurrent: false }));
    this.replicas = { ...this.replicas, servers };
  }

  protected see(look: Look): void {
    const last = this.#last;
    this.#last = look;
    this.replicas = look.state;
    this.#blurred = this.#hasChanged ? this.#blurred + 1 : 0;
    if (this.#blurred === 0 || this.#blurred > BLURRED_MAX) {
      this.#blurred = 0;
      this.pendingEvents = look.pendingEvents;
      this.pendingBytes = look.pendingBytes;
    }
    if (last === null || last.messages === 0) return;
    const gone = last.messages + (look.storedMessages - last.storedMessages) - look.messages;
    if (gone > 0) this.drain.add((gone * last.pendingBytes) / last.messages);
  }
}
