import type { Socket } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { Exchanges } from './exchanges.js';
import { HeldOpenings } from './held-openings.js';
import type { Opener } from './tls-door.js';

/** How long a connection without a request is read before it is closed: one may be on its way, in milliseconds. */
const IDLE_MS = 250;
/** The same for one that has not sent anything yet: whoever connects has a request. */
const FIRST_MS = 1000;
const LOOK_MS = 10;
/** Turns of the event loop without a new connection after which none waits: libuv accepts one a turn. */
const QUIET_TURNS = 3;
/** How long another process may take to hand a connection to this one, in milliseconds. */
const HANDED_MS = 50;
/** How long to wait for that while clients keep coming, in milliseconds. */
const BACKLOG_MS = 2000;

/** Several processes that close their doors at one port together. */
export interface DoorsTogether {
  /** Resolves when delivery has ended in all. */
  ended(waitMs: number): Promise<void>;
  /** Called when all connections are held that are accepted. Resolves when all that were to come have come. */
  holding(waitMs: number): Promise<void>;
  /** Called for each that is held. */
  held(connection: Socket): void;
  /** Called when this one accepts no more. Resolves when none does. */
  closed(waitMs: number): Promise<void>;
}

export interface DeparturesOptions {
  readonly gate: () => {
    /** Connections that were accepted so far. */
    readonly accepted: number;
    /** Those that are open, with what is read of each: `null` until its handshake is over. */
    readonly connections: ReadonlyMap<Socket, { readonly socket: Socket | null }>;
  };
  /** Whether a connection waits for a request, and nothing of one has arrived. */
  readonly isQuiet: (socket: Socket) => boolean;
  readonly exchanges: Exchanges;
  /** Opens connections. */
  readonly opener: Opener;
  /** Other processes that take connections at the same port; `null`: there are none. */
  readonly others: DoorsTogether | null;
}

/**
 * How connections end at a stop, without a reset. A connection that is closed while it holds bytes that nobody has
 * read is reset, and the client of a request among them cannot know whether it was taken. So one with a request is
 * closed after its answer, and one without is read for a while first.
 */
export class Departures {
  /** Opens a connection, unless it is one of the last. */
  readonly open: Opener;
  readonly #options: DeparturesOptions;
  readonly #openings: HeldOpenings;

  constructor(options: DeparturesOptions) {
    this.#options = options;
    this.#openings = new HeldOpenings(options.opener, (connection) => options.others?.held(connection));
    this.open = this.#openings.open;
  }

  /**
   * Accepts what waits, and has no more accepted after it. What came last is read only then.
   *
   * @param close closes the listening socket
   */
  async acceptLast(waitMs: number, close: () => void): Promise<void> {
    const { others } = this.#options;
    const endMs = performance.now() + waitMs;
    const leftMs = (): number => Math.max(0, endMs - performance.now());
    if (waitMs > 0) await others?.ended(leftMs());
    this.#openings.hold();
    if (waitMs > 0) await (others === null ? this.accepted(waitMs) : others.holding(leftMs()));
    close();
    // clients that are answered come back to whoever listens
    if (waitMs > 0) await others?.closed(leftMs());
    this.#openings.release();
  }

  /** Resolves when no connection waits to be accepted, as far as anyone can see. */
  async accepted(waitMs: number): Promise<void> {
    const quietMs = this.#options.others === null ? 0 : HANDED_MS;
    const gate = this.#options.gate();
    const endMs = performance.now() + Math.min(waitMs, BACKLOG_MS);
    let known = gate.accepted;
    let sinceMs = performance.now();
    for (let turns = 0; performance.now() < endMs; turns++) {
      if (gate.accepted !== known) {
        known = gate.accepted;
        sinceMs = performance.now();
        turns = 0;
      }
      if (turns >= QUIET_TURNS && performance.now() - sinceMs >= quietMs) return;
      await turn();
    }
  }

  /**
   * Resolves when each connection that is open now has its last answer and is closed on this side.
   *
   * @param waitMs after this many milliseconds those that are left are closed, whatever they do
   * @param streams whether to wait for answers that go on
   */
  async gone(waitMs: number, streams: boolean): Promise<void> {
    const { connections } = this.#options.gate();
    const waiting = new Set(connections.keys());
    const startMs = performance.now();
    while (waiting.size > 0 && performance.now() - startMs < waitMs) {
      await sleep(LOOK_MS);
      await turn(); // what has arrived is read first
      const waitedMs = performance.now() - startMs;
      for (const connection of waiting) {
        const isOver = waitedMs >= (connection.bytesRead === 0 ? FIRST_MS : IDLE_MS);
        if (this.#isGone(connection, isOver, streams)) waiting.delete(connection);
      }
    }
    for (const connection of waiting) connection.destroy();
  }

  #isGone(connection: Socket, isOver: boolean, streams: boolean): boolean {
    const { gate, isQuiet, exchanges } = this.#options;
    const socket = gate().connections.get(connection)?.socket;
    if (socket === undefined) return true;
    if (socket === null) {
      if (isOver) connection.destroy(); // no request is sent before the handshake is over
      return isOver;
    }
    if (socket.writableFinished || (!streams && exchanges.isStream(socket))) return true;
    if (isOver && isQuiet(socket) && !socket.writableEnded) {
      exchanges.end(socket);
      socket.end();
    }
    return false;
  }
}
